//! A run that is killed or stopped ends with the same bytes as one that is left alone.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{fixtures, small};
use eef_core::Seed;

/// Kills that must hit a working process.
const N_KILLS: usize = 10;

/// No phase of the small run takes this long, however slow the machine: it guards against a test
/// that waits for ever, and nothing else depends on it.
const HANGS: Duration = Duration::from_mins(10);

fn start(run_directory: &Path) -> Child {
    let mut command = small("iterate", run_directory);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
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
    if fixtures().is_none() {
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
    if fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    assert!(start(&whole).wait().unwrap().success());

    let run = folder.path().join("interrupted");
    let mut child = start(&run);
    wait_for_a_model(&run, &mut child);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!run.join("report.json").exists(), "there was work left to stop");
    assert!(start(&run).wait().unwrap().success());
    assert_same(&results(&whole), &run);
}

/// Returns in the middle of a run: its first model is complete, and rounds of exploration follow.
fn wait_for_a_model(run: &Path, child: &mut Child) {
    let begin = Instant::now();
    loop {
        // A model that is still written has an extension.
        let entries = std::fs::read_dir(run.join("models")).into_iter().flatten().flatten();
        if entries.map(|entry| entry.path()).any(|model| model.extension().is_none()) {
            return;
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it had a model");
        if begin.elapsed() > HANGS {
            child.kill().unwrap();
            panic!("no model in {} after {HANGS:?}", run.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
