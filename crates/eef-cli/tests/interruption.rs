//! A run that is killed or stopped ends with the same bytes as one that is left alone.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eef_core::Seed;

/// Kills that must hit a working process.
const N_KILLS: usize = 10;

/// A run of a few seconds that goes through every phase.
fn start(run_directory: &Path) -> Child {
    let settings = [
        "data.n_train_tasks=24",
        "data.n_validation_tasks=12",
        "data.n_test_tasks=12",
        "behaviour_cloning.stage_epochs=1",
        "behaviour_cloning.max_stages=2",
        "explore.unit_size=16",
        "train.n_epochs=1",
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_eef-cli"));
    command.args(["iterate", "--threads", "2", "--run-dir"]).arg(run_directory);
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The embedded data lies beside the workspace; the packaged crate has none.
fn fixtures_are_there() -> bool {
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/base").exists();
    if !there {
        eprintln!("skipped: the fixtures are not part of the packaged crate");
    }
    there
}

/// Every model of a run and its report, by name.
fn results(run_directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut results = BTreeMap::new();
    for model in std::fs::read_dir(run_directory.join("models")).unwrap() {
        let model = model.unwrap();
        let weights = std::fs::read(model.path().join("model.safetensors")).unwrap();
        results.insert(PathBuf::from(model.file_name()), weights);
    }
    let report = std::fs::read(run_directory.join("report.json")).unwrap();
    results.insert(PathBuf::from("report.json"), report);
    results
}

fn assert_same(expected: &BTreeMap<PathBuf, Vec<u8>>, run_directory: &Path) {
    let found = results(run_directory);
    assert!(expected.len() >= 4, "two stages, two rounds and a report: {:?}", expected.keys());
    assert!(expected.keys().eq(found.keys()), "{:?} {:?}", expected.keys(), found.keys());
    for (name, bytes) in expected {
        assert!(*bytes == found[name], "{} differs", name.display());
    }
}

#[test]
fn kills_at_random_moments_change_no_byte() {
    if !fixtures_are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let whole = folder.path().join("whole");
    assert!(start(&whole).wait().unwrap().success());
    let duration = begin.elapsed();
    let expected = results(&whole);

    let mut rng = Seed::new(5).rng();
    let mut n_kills = 0;
    let mut n_runs = 0;
    while n_kills < N_KILLS {
        let run = folder.path().join(format!("killed-{n_runs}"));
        n_runs += 1;
        let mut complete = false;
        while !complete && n_kills < N_KILLS {
            let mut child = start(&run);
            std::thread::sleep(duration.mul_f64(0.05 + 0.4 * rng.uniform()));
            // A process that has ended by itself is no kill.
            complete = child.try_wait().unwrap().is_some();
            if !complete {
                child.kill().unwrap();
                child.wait().unwrap();
                n_kills += 1;
            }
        }
        assert!(start(&run).wait().unwrap().success());
        assert_same(&expected, &run);
    }
}

#[test]
fn an_interrupt_stops_cleanly_and_the_same_command_continues() {
    if !fixtures_are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let begin = Instant::now();
    assert!(start(&whole).wait().unwrap().success());
    let half = begin.elapsed() / 2;

    let run = folder.path().join("interrupted");
    let mut child = start(&run);
    std::thread::sleep(half.max(Duration::from_millis(100)));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(start(&run).wait().unwrap().success());
    assert_same(&results(&whole), &run);
}
