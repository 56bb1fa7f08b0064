//! Options on both sides of the verb, what stderr says with `--json`, and where `--out` may point.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn eef(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eef-cli"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

/// The plan that this command line asks for.
fn plan(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = eef(arguments, folder.path());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{arguments:?}: {error}: {}", String::from_utf8_lossy(&output.stderr))
    })
}

/// What stderr says; fails where a line of it is no JSON object with an event's name.
fn events(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
        assert!(event["event"].is_string(), "{line}");
        event
    };
    text.lines().map(event).collect()
}

/// The embedded data lies beside the workspace; the packaged crate has none.
fn fixtures_are_there() -> bool {
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/webshop").exists();
    if !there {
        eprintln!("skipped: the fixtures are not part of the packaged crate");
    }
    there
}

#[test]
fn settings_before_the_verb_count_as_those_after_it() {
    let (first, second) = ("method.n_simulations=0", "train.n_epochs=1");
    let after = plan(&["iterate", "--dry-run", "--json", "--set", first, "--set", second]);
    let before = plan(&["--json", "--set", first, "--set", second, "iterate", "--dry-run"]);
    let around = plan(&["--set", first, "iterate", "--set", second, "--dry-run", "--json"]);
    assert_eq!(before, after);
    assert_eq!(around, after);
    let only_first = plan(&["--set", first, "iterate", "--dry-run", "--json"]);
    let only_second = plan(&["iterate", "--set", second, "--dry-run", "--json"]);
    assert_ne!(only_first, after, "the one after the verb counts");
    assert_ne!(only_second, after, "the one before the verb counts");
    // Of two values for one key the later one holds, wherever the verb stands.
    let (one, six) = ("train.n_epochs=1", "train.n_epochs=6");
    let last = plan(&["--set", six, "iterate", "--set", one, "--dry-run", "--json"]);
    assert_eq!(last, only_second);
}

#[test]
fn what_can_be_said_once_is_refused_twice() {
    let folder = tempfile::tempdir().unwrap();
    let output = eef(&["--run-dir", "a", "iterate", "--run-dir", "b", "--dry-run"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("'--run-dir <DIR>' cannot be used multiple times"), "{text}");
}

#[test]
fn errors_are_json_lines_where_json_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let failures: [(&[&str], i32, &str); 3] = [
        (&["iterate", "--json", "--set", "x=1"], 1, "--set x=1: unknown key `x`; known are"),
        (&["--json", "inspect", "--run-dir", "none"], 1, "none holds no run"),
        (&["iterate", "--json", "--threads", "many"], 2, "invalid value 'many'"),
    ];
    for (arguments, code, message) in failures {
        let output = eef(arguments, folder.path());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let events = events(&output);
        let [event] = events.as_slice() else { panic!("{arguments:?}: {events:?}") };
        assert_eq!(event["event"], "error");
        assert!(event["message"].as_str().unwrap().starts_with(message), "{event}");
    }
}

#[test]
fn events_of_the_libraries_are_json_lines_too_and_plain_ones_have_no_colours() {
    if !fixtures_are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let line = ["collect", "--tasks", "2", "--out", "x.jsonl"];
    let run = |json: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eef-cli"));
        command.args(line).current_dir(folder.path()).env("RUST_LOG", "trace");
        if json {
            command.arg("--json");
        }
        command.output().unwrap()
    };
    let output = run(true);
    assert!(output.status.success());
    assert!(events(&output).iter().any(|event| event["event"] == "started"));
    let output = run(false);
    assert!(output.status.success());
    assert!(!output.stderr.contains(&0x1b), "a pipe is no terminal");
}

#[test]
fn trajectories_go_to_stdout_where_it_is_named() {
    if !fixtures_are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names: &[&str] = if cfg!(unix) { &["-", "/dev/stdout"] } else { &["-"] };
    for name in names {
        let output = eef(&["collect", "--tasks", "3", "--json", "--out", name], folder.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let records: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), 3);
        assert!(records.iter().all(|record| record["version"].is_number()), "{text}");
        let events = events(&output);
        assert_eq!(events.last().unwrap()["event"], "result");
        assert_eq!(events.last().unwrap()["trajectories"], 3);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{name} is no file");
    }
    // The same bytes as in a file, and then stdout holds the summary.
    let to_file = eef(&["collect", "--tasks", "3", "--json", "--out", "x.jsonl"], folder.path());
    let summary: Value = serde_json::from_slice(&to_file.stdout).unwrap();
    assert_eq!(summary["trajectories"], 3);
    let to_stdout = eef(&["collect", "--tasks", "3", "--out", "-"], folder.path());
    assert_eq!(std::fs::read(folder.path().join("x.jsonl")).unwrap(), to_stdout.stdout);
}

#[cfg(unix)]
#[test]
fn a_link_that_is_written_to_stays_a_link() {
    if !fixtures_are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link.jsonl");
    std::os::unix::fs::symlink("real.jsonl", &link).unwrap();
    let output = eef(&["collect", "--tasks", "1", "--out", "link.jsonl"], folder.path());
    assert!(output.status.success());
    assert!(link.is_symlink());
    let text = std::fs::read_to_string(folder.path().join("real.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
}
