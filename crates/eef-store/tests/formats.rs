//! Files of older versions stay readable; newer ones are refused; exports come back.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::path::Path;

use common::{incident, random, task};
use eef_core::{Seed, Split, Trajectory};
use eef_store::{
    MemoryStore, SqliteStore, StoreError, TrajectoryStore, export_jsonl, export_splits_jsonl,
    import_jsonl, read_jsonl,
};
use rusqlite::Connection;

/// What the stored files hold. It must never change: `version_1.sqlite` was written from it.
fn contents() -> Vec<Trajectory> {
    random(&mut Seed::new(11).rng(), 12)
}

fn fill(store: &dyn TrajectoryStore) {
    store.append_unit("unit", &contents(), &[incident(task(0), 0), incident(task(1), 1)]).unwrap();
    store.put_record("phase", b"train").unwrap();
}

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// With `EEF_WRITE_FORMAT_FILES` set the files are written; a version that was released is
/// never written again.
#[test]
fn a_store_written_by_version_1_is_read() {
    let path = data("version_1.sqlite");
    if std::env::var_os("EEF_WRITE_FORMAT_FILES").is_some() {
        fill(&SqliteStore::open(&path).unwrap());
    }
    // A copy: opening a store may write beside it.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("s.sqlite");
    std::fs::write(&copy, std::fs::read(&path).unwrap()).unwrap();
    let store = SqliteStore::open(&copy).unwrap();
    assert!(store.verify().unwrap().is_sound());
    for trajectory in contents() {
        assert_eq!(store.get(&trajectory.id).unwrap().as_deref(), Some(&trajectory));
    }
    assert_eq!(store.unit("unit").unwrap().unwrap().incidents.len(), 2);
    // What is added today agrees with what was added then.
    fill(&store);
}

#[test]
fn records_written_by_version_1_are_read() {
    let path = data("version_1.jsonl");
    if std::env::var_os("EEF_WRITE_FORMAT_FILES").is_some() {
        let store = MemoryStore::new();
        fill(&store);
        export_jsonl(&store, &path).unwrap();
    }
    let store = MemoryStore::new();
    assert_eq!(import_jsonl(&store, &path).unwrap().n_new, 12);
    for trajectory in contents() {
        assert_eq!(store.get(&trajectory.id).unwrap().as_deref(), Some(&trajectory));
    }
}

#[test]
fn a_newer_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    drop(SqliteStore::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.execute("UPDATE meta SET value = 2 WHERE key = 'format'", []).unwrap();
    drop(connection);
    let error = SqliteStore::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::NewerFormat { found: 2, supported: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("use a newer program"));
}

#[test]
fn exports_of_equal_stores_are_equal_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.jsonl"), folder.path().join("two.jsonl"));
    let memory = MemoryStore::new();
    fill(&memory);
    assert_eq!(export_jsonl(&memory, &one).unwrap(), 12);
    let sqlite = SqliteStore::open(folder.path().join("s.sqlite")).unwrap();
    import_jsonl(&sqlite, &one).unwrap();
    export_jsonl(&sqlite, &two).unwrap();
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.retain(|name| name.to_string_lossy().contains("partial"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_export_of_one_split_holds_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("splits.jsonl");
    let store = MemoryStore::new();
    fill(&store);
    let mut n_all = 0;
    for split in Split::ALL {
        let report = export_splits_jsonl(&store, &[split], &path).unwrap();
        assert_eq!(report.n_written + report.n_left_out, 12);
        let written = read_jsonl(&path).unwrap();
        assert_eq!(written.len(), report.n_written);
        assert!(!written.is_empty(), "the fixture has tasks of every split");
        assert!(written.iter().all(|trajectory| trajectory.task.split() == split));
        n_all += written.len();
    }
    assert_eq!(n_all, 12);
    assert_eq!(export_splits_jsonl(&store, &[], &path).unwrap().n_left_out, 12);
}

#[test]
fn a_wrong_record_is_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("experts.jsonl");
    let good = std::fs::read_to_string(data("version_1.jsonl")).unwrap();
    let line = good.lines().next().unwrap();
    for (wrong, expected) in [
        ("{".to_owned(), "expected a trajectory record: EOF"),
        ("{}".to_owned(), "missing field `version`"),
        (line.replace("\"reward\":", "\"rewards\":"), "unknown field `rewards`"),
        (line.replace("\"id\":\"", "\"id\":\"zz"), "field `id`: expected 32 hexadecimal digits"),
        (line.replace("\"terminated\"", "\"finished\""), "field `end`: `finished` is none of"),
        (line.replace("\"version\":1", "\"version\":0"), "there is no record version 0"),
        (line.replace("\"version\":1", "\"version\":9"), "has format version 9"),
    ] {
        assert_ne!(wrong, line);
        std::fs::write(&path, format!("{line}\n\n{wrong}\n")).unwrap();
        let message = read_jsonl(&path).unwrap_err().to_string();
        assert!(message.contains("experts.jsonl:3"), "{message}");
        assert!(message.contains(expected), "{message}");
        let store = MemoryStore::new();
        assert!(import_jsonl(&store, &path).is_err());
        assert_eq!(store.n_trajectories().unwrap(), 0, "all or nothing");
    }
    let error = read_jsonl(folder.path().join("absent.jsonl")).unwrap_err().to_string();
    assert!(error.contains("cannot open") && error.contains("absent.jsonl"), "{error}");
}
