//! A run of a few seconds that goes through every phase, shared by the tests that run the program.

#![allow(dead_code, reason = "each test target uses another part")]
#![allow(clippy::print_stderr, reason = "a test that skips says why")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Few tasks, two stages of behaviour cloning, two rounds of exploration.
const SETTINGS: [&str; 7] = [
    "data.n_train_tasks=24",
    "data.n_validation_tasks=12",
    "data.n_test_tasks=12",
    "behaviour_cloning.stage_epochs=1",
    "behaviour_cloning.max_stages=2",
    "explore.unit_size=16",
    "train.n_epochs=1",
];

/// The program with a verb and two workers, kept from whoever runs the test.
pub fn eef(verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eef-cli"));
    command.args([verb, "--threads", "2"]).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// The program with a verb that works on the small run.
pub fn small(verb: &str, run_directory: &Path) -> Command {
    let mut command = eef(verb);
    command.arg("--run-dir").arg(run_directory);
    for setting in SETTINGS {
        command.args(["--set", setting]);
    }
    command
}

/// The embedded data, which lies beside the workspace; the packaged crate has none.
pub fn fixtures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    if folder.join("base").exists() {
        return Some(folder);
    }
    eprintln!("skipped: the fixtures are not part of the packaged crate");
    None
}
