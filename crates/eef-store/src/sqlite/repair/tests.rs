//! What a kill leaves behind, wherever it comes.

#[path = "../../../tests/common/mod.rs"]
mod common;

use eef_core::{Seed, Trajectory};
use rusqlite::Connection;

use super::*;

/// A store without its third trajectory, and what it was made from. Its log is not folded in, as
/// after a kill.
fn damaged(folder: &Path) -> (PathBuf, Vec<Trajectory>) {
    let all = common::random(&mut Seed::new(4).rng(), 30);
    let whole = folder.join("whole.sqlite");
    let store = SqliteStore::open(&whole).unwrap();
    store.append_unit("one", &all[..10], &[]).unwrap();
    store.append_unit("two", &all[10..], &[]).unwrap();
    let connection = Connection::open(&whole).unwrap();
    connection.execute("DELETE FROM trajectory WHERE number = 3", []).unwrap();
    let run = folder.join("run");
    std::fs::create_dir(&run).unwrap();
    let path = run.join("s.sqlite");
    std::fs::copy(&whole, &path).unwrap();
    std::fs::copy(log_name(&whole), log_name(&path)).unwrap();
    assert!(log_name(&path).metadata().unwrap().len() > 0);
    (path, all)
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Repairs what is there; all that can be saved must be saved, and the damaged file be kept.
fn assert_repairable(path: &Path, all: &[Trajectory], n_damaged: usize) {
    SqliteStore::repair(path).unwrap();
    let store = SqliteStore::open(path).unwrap();
    let kept = store.n_trajectories().unwrap();
    assert!((20..30).contains(&kept), "{kept} of 29: some shared steps with the lost one");
    assert!(!store.unit_is_complete("one").unwrap());
    store.append(all).unwrap();
    assert!(store.verify().unwrap().is_sound());
    assert!(!fresh_name(path).exists());
    let copies = damaged_copies(path);
    assert_eq!(copies.len(), n_damaged, "{copies:?}");
    for copy in copies {
        assert!(matches!(SqliteStore::open(copy), Err(StoreError::Damaged { .. })));
    }
}

/// The folders that kills at every step of a repair leave.
fn killed(path: &Path, states: &Path) -> Vec<PathBuf> {
    let folder = path.parent().unwrap();
    let mut left = Vec::new();
    repair_in_steps(path, &mut || {
        let state = states.join(format!("state-{}", left.len()));
        copy_folder(folder, &state);
        left.push(state.join(path.file_name().unwrap()));
    })
    .unwrap();
    left
}

#[test]
fn a_kill_at_any_step_loses_nothing_and_repairing_again_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let (path, all) = damaged(folder.path());
    let left = killed(&path, folder.path());
    assert_eq!(left.len(), 7);
    for (step, path) in left.iter().enumerate() {
        match SqliteStore::open(path) {
            Err(StoreError::Damaged { .. }) => assert!(step < 6, "step {step}"),
            Err(error) => panic!("step {step}: {error:?}"),
            // Only when it is in its place: never an empty one.
            Ok(store) => {
                assert!(step == 6 && store.n_trajectories().unwrap() >= 20, "step {step}");
            }
        }
        // A copied folder has no second names: after step 5 the copy is a file of its own.
        assert_repairable(path, &all, if step == 5 { 2 } else { 1 });
    }
}

#[test]
fn a_second_repair_of_one_file_keeps_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let (path, all) = damaged(folder.path());
    close_folded(open_alone(&path).unwrap().0, &path).unwrap();
    second_name(&path).unwrap();
    assert_repairable(&path, &all, if cfg!(unix) { 1 } else { 2 });
}

#[test]
fn the_gap_of_older_repairs_is_refused_and_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, all) = damaged(folder.path());
    // They moved the damaged file away, then its log, and the repaired one into its place last.
    let copy = path.with_file_name("s.sqlite.damaged");
    let older = path.with_file_name("s.sqlite.damaged-2");
    let file = std::fs::File::create(&older).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    std::fs::rename(&path, &copy).unwrap();
    SqliteStore::open(fresh_name(&path)).unwrap();
    for log_is_moved in [false, true] {
        if log_is_moved {
            std::fs::rename(log_name(&path), log_name(&copy)).unwrap();
        }
        for error in [SqliteStore::open(&path), SqliteStore::open_unchecked(&path)] {
            let error = error.err().unwrap();
            assert!(matches!(&error, StoreError::HalfRepaired { damaged, .. } if *damaged == copy));
            assert!(error.to_string().contains("eef-cli repair"), "{error}");
        }
        assert!(!path.exists(), "no empty store was made");
        assert!(SqliteStore::exists(&path));
    }
    std::fs::remove_file(older).unwrap();
    let left = killed(&path, folder.path());
    assert_eq!(left.len(), 9);
    for path in &left {
        assert!(
            !matches!(SqliteStore::open(path), Ok(store) if store.n_trajectories().unwrap() < 20)
        );
        let n_damaged = if path.parent() == left[7].parent() { 2 } else { 1 };
        assert_repairable(path, &all, n_damaged);
    }
}

#[test]
fn nobody_else_gets_in_while_a_store_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = damaged(folder.path());
    let reader = SqliteStore::open_unchecked(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStore::repair(&path).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
    assert!(std::fs::read(&path).unwrap() == before);
    assert!(!fresh_name(&path).exists());
    // Nor is what another repair is writing taken from it.
    std::fs::write(fresh_name(&path), "half").unwrap();
    assert!(SqliteStore::repair(&path).is_err());
    assert_eq!(std::fs::read(fresh_name(&path)).unwrap(), b"half");
    drop(reader);
    let (alone, _) = open_alone(&path).unwrap();
    alone.verify().unwrap();
    let other = Connection::open(&path).unwrap();
    other.busy_timeout(std::time::Duration::ZERO).unwrap();
    let read = schema::integer(&other, "SELECT count(*) FROM trajectory");
    let code = read.unwrap_err().sqlite_error_code();
    assert_eq!(code, Some(rusqlite::ErrorCode::DatabaseBusy));
}
