//! Tests with the real simulator: they need Java and the jar that `EEF_SCIENCEWORLD_JAR` names,
//! and some the recordings in the folder that `EEF_SHARED` names. Without these they say so and
//! pass, unless `EEF_REQUIRE` asks for `jar` or `shared`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a skipped test and the counts are told to people")]

mod episodes;
mod faults;
mod recording;
mod reference;

use std::path::PathBuf;

use eef_scienceworld::{Jar, PoolOptions, WorkerCommand, WorkerPool};

fn required(what: &str) -> bool {
    std::env::var("EEF_REQUIRE").unwrap_or_default().split(',').any(|word| word.trim() == what)
}

/// The simulator's jar, if there is one.
fn jar() -> Option<Jar> {
    let Some(path) = std::env::var_os("EEF_SCIENCEWORLD_JAR").map(PathBuf::from) else {
        let asks = required("jar") || required("java");
        assert!(!asks, "EEF_SCIENCEWORLD_JAR names no jar, but EEF_REQUIRE asks");
        eprintln!("skipped: EEF_SCIENCEWORLD_JAR names no jar");
        return None;
    };
    Some(Jar::open(&path).unwrap_or_else(|error| panic!("{error}")))
}

/// The folder with recordings, if there is one.
fn shared() -> Option<PathBuf> {
    let shared = std::env::var_os("EEF_SHARED").map(PathBuf::from).filter(|path| path.is_dir());
    if shared.is_none() {
        assert!(!required("shared"), "EEF_SHARED names no folder, but EEF_REQUIRE asks");
        eprintln!("skipped: EEF_SHARED names no folder with recordings");
    }
    shared
}

fn options() -> PoolOptions {
    PoolOptions {
        command: WorkerCommand::Path(env!("CARGO_BIN_EXE_eef-scienceworld-worker").into()),
        n_workers: 1,
        simulators_per_worker: 4,
        max_heap_mib: 256,
        ..PoolOptions::default()
    }
}

fn pool() -> Option<WorkerPool> {
    Some(WorkerPool::new(jar()?, options()).unwrap())
}
