//! Damage is reported, never given out; a full disk loses nothing.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::path::Path;

use common::{expert, grown, incident, random, task};
use eef_core::{Rng, Seed, Trajectory};
use eef_store::{SqliteStore, StoreError, TrajectoryStore};
use rusqlite::Connection;

/// Everything a store says, as text.
fn answers(store: &SqliteStore, all: &[Trajectory]) -> Result<String, StoreError> {
    let mut parts = vec![
        format!("{:?} {:?}", store.ids()?, store.incidents()?),
        format!("{:?} {:?}", store.unit("unit")?, store.record("phase")?),
        format!("{:?} {:?}", store.experts()?, store.n_trajectories()?),
    ];
    for trajectory in all {
        parts.push(format!("{:?}", store.get(&trajectory.id)?));
        parts.push(format!("{:?}", store.positives_of(&trajectory.task)?));
        for state in trajectory.state_keys() {
            parts.push(format!("{:?}", store.best_solution(&state)?));
        }
    }
    Ok(parts.concat())
}

fn filled(path: &Path) -> Vec<Trajectory> {
    let all = random(&mut Seed::new(1).rng(), 40);
    let store = SqliteStore::open(path).unwrap();
    store.append_unit("unit", &all[..30], &[incident(task(0), 0), incident(task(1), 1)]).unwrap();
    store.append_unit("another unit", &all[30..], &[]).unwrap();
    store.put_record("phase", b"train").unwrap();
    all
}

/// Changes a file's bytes, opens it, and compares its answers with the right ones. True where the
/// change was noticed.
fn noticed(bytes: &[u8], right: &str, all: &[Trajectory], what: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    std::fs::write(&path, bytes).unwrap();
    match SqliteStore::open(&path).and_then(|store| answers(&store, all)) {
        Ok(text) => {
            assert!(text == right, "{what}: a silent wrong answer");
            false
        }
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            true
        }
    }
}

#[test]
fn no_flipped_bit_gives_a_silent_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let all = filled(&path);
    let right = answers(&SqliteStore::open(&path).unwrap(), &all).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let n_flips = count("EEF_BIT_FLIPS", 100);
    let mut rng: Rng = Seed::new(2).rng();
    let mut n_noticed = 0;
    for _ in 0..n_flips {
        let (place, bit) = (rng.below(bytes.len()), rng.below(8));
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << bit;
        n_noticed +=
            usize::from(noticed(&damaged, &right, &all, &format!("byte {place}, bit {bit}")));
    }
    // The others hit free space.
    assert!(n_noticed * 4 > n_flips, "only {n_noticed} of {n_flips} flips were noticed");
}

#[test]
fn no_truncation_gives_a_silent_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let all = filled(&path);
    let right = answers(&SqliteStore::open(&path).unwrap(), &all).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let mut n_noticed = 0;
    // An empty file is a store that is still to be created, so 0 is left out.
    let lengths: Vec<usize> = (1..20).map(|part| bytes.len() * part / 20).collect();
    for &length in &lengths {
        let what = format!("{length} of {} bytes", bytes.len());
        n_noticed += usize::from(noticed(&bytes[..length], &right, &all, &what));
    }
    assert_eq!(n_noticed, lengths.len());
}

/// A change to a store through SQL, and what the error must name.
const CHANGES: [(&str, &str); 10] = [
    ("UPDATE trajectory SET reward = 1.0 WHERE reward < 1.0", "table trajectory, row"),
    ("UPDATE trajectory SET body = zeroblob(4)", "table trajectory, row"),
    ("UPDATE trajectory SET environment = 'other'", "table trajectory, row"),
    ("UPDATE trajectory SET round = 'x'", "reading a row"),
    ("UPDATE tokens SET body = zeroblob(9)", "table tokens, row"),
    ("UPDATE state_index SET n_actions = 0", "table state_index, state"),
    ("UPDATE unit SET n_incidents = 7", "table unit, row"),
    ("UPDATE incident SET kind = '{}'", "table incident, row"),
    ("UPDATE record SET bytes = x'00'", "table record, row `phase`"),
    ("DELETE FROM trajectory WHERE number = 3", "digest: rows are missing"),
];

#[test]
fn a_change_by_another_program_is_named_and_repaired() {
    for (sql, expected) in CHANGES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sqlite");
        let all = filled(&path);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let message = match SqliteStore::open(&path) {
            Err(error @ StoreError::Damaged { .. }) => error.to_string(),
            Err(error) => panic!("{sql}: {error:?}"),
            Ok(_) => panic!("{sql}: not noticed"),
        };
        assert!(message.contains(expected), "{sql}: {message}");
        assert!(message.contains("eef-cli repair --run-dir"), "{sql}: {message}");
        let verified = SqliteStore::open_unchecked(&path).unwrap().verify().unwrap();
        assert!(!verified.is_sound(), "{sql}");
        let report = SqliteStore::repair(&path).unwrap();
        assert_eq!(report.damages, verified.damages, "{sql}");
        assert!(!report.damages.iter().any(|line| line.contains("repair")), "{sql}: said once");
        assert!(report.damaged_copy.is_some_and(|copy| copy.exists()), "{sql}");
        let store = SqliteStore::open(&path).unwrap();
        assert!(store.verify().unwrap().is_sound(), "{sql}");
        assert_eq!(store.n_trajectories().unwrap(), report.n_trajectories, "{sql}");
        // The same work again completes it.
        store.append(&all).unwrap();
        for trajectory in &all {
            assert_eq!(store.get(&trajectory.id).unwrap().as_deref(), Some(trajectory), "{sql}");
        }
    }
}

#[test]
fn repair_restores_the_index_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let all = filled(&path);
    let right = answers(&SqliteStore::open(&path).unwrap(), &all).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("DELETE FROM state_index WHERE n_actions > 2").unwrap();
    drop(connection);
    let damages = SqliteStore::open_unchecked(&path).unwrap().verify().unwrap().damages;
    assert!(damages.iter().any(|line| line.contains("state_index") && line.ends_with("missing")));
    let report = SqliteStore::repair(&path).unwrap();
    assert_eq!(report.lost, Vec::<String>::new());
    assert_eq!(answers(&SqliteStore::open(&path).unwrap(), &all).unwrap(), right);
    // Nothing to do a second time.
    assert_eq!(SqliteStore::repair(&path).unwrap().damaged_copy, None);
}

#[test]
fn what_is_left_of_a_truncated_store_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let all = filled(&path);
    let bytes = std::fs::read(&path).unwrap();
    let mut n_saved = Vec::new();
    for part in 1..20 {
        let copy = folder.path().join(format!("part-{part}.sqlite"));
        let left = &bytes[..bytes.len() * part / 20];
        std::fs::write(&copy, left).unwrap();
        match SqliteStore::repair(&copy) {
            Ok(report) => {
                assert!(report.damaged_copy.is_some_and(|copy| copy.exists()), "part {part}");
                let store = SqliteStore::open(&copy).unwrap();
                assert_eq!(store.n_trajectories().unwrap(), report.n_trajectories);
                n_saved.push(report.n_trajectories);
                // What was saved is what was written: else this would be a conflict.
                store.append(&all).unwrap();
            }
            Err(StoreError::BeyondRepair { .. }) => {
                assert!(std::fs::read(&copy).unwrap() == left, "part {part} is as it was");
            }
            Err(error) => panic!("part {part}: {error:?}"),
        }
    }
    assert!(n_saved.iter().any(|n| *n > 0), "{n_saved:?}");
}

#[test]
fn a_store_without_its_format_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let all = filled(&path);
    let right = answers(&SqliteStore::open(&path).unwrap(), &all).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute("DELETE FROM meta WHERE key = 'format'", []).unwrap();
    drop(connection);
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Damaged { .. })));
    let report = SqliteStore::repair(&path).unwrap();
    assert_eq!(report.damages, ["table meta: no known format: None"]);
    assert_eq!((report.n_trajectories, report.n_units, report.lost.len()), (40, 2, 0));
    assert_eq!(answers(&SqliteStore::open(&path).unwrap(), &all).unwrap(), right);
}

#[test]
fn a_store_whose_tables_are_gone_is_no_new_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    filled(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    // The number of entries on the first page, which lists the tables.
    bytes[103..105].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Damaged { .. })));
    let error = SqliteStore::repair(&path).unwrap_err();
    assert!(matches!(error, StoreError::BeyondRepair { .. }), "{error:?}");
    assert!(error.to_string().contains("move it away"), "{error}");
    assert!(std::fs::read(&path).unwrap() == bytes, "it is as it was");
}

#[test]
fn there_is_nothing_to_repair_where_there_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    assert!(!SqliteStore::exists(&path));
    let error = SqliteStore::repair(&path).unwrap_err().to_string();
    assert!(error.contains("cannot repair"), "{error}");
    assert!(!path.exists());
}

#[test]
fn what_lost_its_parent_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let parent = expert(task(0), "strong", &["a", "b"], 1.0);
    let child = grown(&parent, 1, 1, 0, &["c"], 1.0);
    SqliteStore::open(&path).unwrap().append(&[parent.clone(), child.clone()]).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute("DELETE FROM trajectory WHERE id = ?1", [parent.id.as_bytes()]).unwrap();
    drop(connection);
    let store = SqliteStore::open_unchecked(&path).unwrap();
    let message = store.get(&child.id).unwrap_err().to_string();
    assert!(message.contains("its parent, with 1 of its steps, is gone"), "{message}");
}

#[test]
fn a_full_disk_is_a_typed_error_that_loses_nothing_and_work_continues() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let all = random(&mut Seed::new(3).rng(), 300);
    let store = SqliteStore::open(&path).unwrap();
    let mut n_full = 0;
    let mut n_stored = 0;
    for part in all.chunks(10) {
        // The limit is a few pages above what is used, so that some parts fit and others do not.
        store.limit_pages(Some(3)).unwrap();
        match store.append(part) {
            Ok(_) => {}
            Err(StoreError::DiskFull { .. }) => {
                n_full += 1;
                assert_eq!(store.n_trajectories().unwrap(), n_stored, "all or nothing");
                store.limit_pages(None).unwrap();
                store.append(part).unwrap();
            }
            Err(error) => panic!("{error:?}"),
        }
        n_stored += part.len() as u64;
    }
    assert!(n_full > 0 && n_full < 30, "{n_full} of 30 parts did not fit");
    assert!(store.verify().unwrap().is_sound());
    for trajectory in &all {
        assert_eq!(store.get(&trajectory.id).unwrap().as_deref(), Some(trajectory));
    }
}

#[test]
fn other_files_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "these are notes and no database at all".repeat(100)).unwrap();
    let before = std::fs::read(&text).unwrap();
    assert!(matches!(SqliteStore::open(&text), Err(StoreError::NotAStore { .. })));
    assert_eq!(std::fs::read(&text).unwrap(), before);
    let other = folder.path().join("other.sqlite");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    let before = std::fs::read(&other).unwrap();
    assert!(matches!(SqliteStore::open(&other), Err(StoreError::NotAStore { .. })));
    assert_eq!(std::fs::read(&other).unwrap(), before);
}

/// A number from the environment, for longer runs.
fn count(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
