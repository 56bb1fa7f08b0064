//! The jar, the recordings and the workers of tests.
#![allow(dead_code, reason = "each test target uses a part of it")]

use std::path::PathBuf;

use eef_scienceworld::{Jar, PoolOptions, WorkerCommand, WorkerPool};

fn required(what: &str) -> bool {
    std::env::var("EEF_REQUIRE").unwrap_or_default().split(',').any(|word| word.trim() == what)
}

/// The simulator's jar, if there is one.
pub fn jar() -> Option<Jar> {
    let Some(path) = std::env::var_os("EEF_SCIENCEWORLD_JAR").map(PathBuf::from) else {
        let asks = required("jar") || required("java");
        assert!(!asks, "EEF_SCIENCEWORLD_JAR names no jar, but EEF_REQUIRE asks");
        eprintln!("skipped: EEF_SCIENCEWORLD_JAR names no jar");
        return None;
    };
    Some(Jar::open(&path).unwrap_or_else(|error| panic!("{error}")))
}

/// The folder with recordings, if there is one.
pub fn shared() -> Option<PathBuf> {
    let shared = std::env::var_os("EEF_SHARED").map(PathBuf::from).filter(|path| path.is_dir());
    if shared.is_none() {
        assert!(!required("shared"), "EEF_SHARED names no folder, but EEF_REQUIRE asks");
        eprintln!("skipped: EEF_SHARED names no folder with recordings");
    }
    shared
}

pub fn options() -> PoolOptions {
    PoolOptions {
        command: WorkerCommand::Path(env!("CARGO_BIN_EXE_eef-scienceworld-worker").into()),
        n_workers: 1,
        simulators_per_worker: 4,
        max_heap_mib: 256,
        ..PoolOptions::default()
    }
}

pub fn pool() -> Option<WorkerPool> {
    Some(WorkerPool::new(jar()?, options()).unwrap())
}
