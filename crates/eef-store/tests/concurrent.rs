//! A store that one connection writes to is sound for every other one.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{incident, random, task};
use eef_core::{Seed, Trajectory};
use eef_store::{SqliteStore, TrajectoryStore};

/// Adds units while a reader does its work at least so many times.
fn while_a_writer_writes(
    path: &Path,
    all: &[Trajectory],
    n_reads: usize,
    mut read: impl FnMut(&SqliteStore),
) {
    let writer = SqliteStore::open(path).unwrap();
    // Something to read, so that commits fall between the tables.
    writer.append_unit("before", &all[..100], &[]).unwrap();
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut n_units = 0;
            while !enough.load(Ordering::Relaxed) {
                let from = 100 + n_units % (all.len() - 100);
                let incidents = [incident(task(0), 0), incident(task(1), 1)];
                writer.append_unit(&format!("unit {n_units}"), &all[from..=from], &incidents)?;
                writer.put_record("phase", &n_units.to_le_bytes())?;
                n_units += 1;
            }
            Ok::<usize, eef_store::StoreError>(n_units)
        });
        for _ in 0..n_reads {
            // The scope waits for the writer, in a panic too.
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                read(&SqliteStore::open(path).unwrap());
            }));
            if let Err(panic) = result {
                enough.store(true, Ordering::Relaxed);
                std::panic::resume_unwind(panic);
            }
        }
        enough.store(true, Ordering::Relaxed);
        assert!(writing.join().unwrap().unwrap() > 0);
    });
}

#[test]
fn a_store_that_is_written_to_opens_as_sound() {
    let folder = tempfile::tempdir().unwrap();
    let all = random(&mut Seed::new(6).rng(), 400);
    while_a_writer_writes(&folder.path().join("s.sqlite"), &all, 60, |_| ());
}

#[test]
fn a_store_that_is_written_to_verifies_as_sound() {
    let folder = tempfile::tempdir().unwrap();
    let all = random(&mut Seed::new(7).rng(), 400);
    while_a_writer_writes(&folder.path().join("s.sqlite"), &all, 15, |store| {
        let report = store.verify().unwrap();
        assert!(report.is_sound(), "{:?}", report.damages);
        for id in store.ids().unwrap() {
            assert!(store.get(&id).unwrap().is_some());
        }
    });
}
