//! A run directory belongs to the configuration that something was done with, and says so.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

/// One stage of behaviour cloning on a few tasks: about a second.
const SETTINGS: [&str; 7] = [
    "data.n_train_tasks=24",
    "data.n_validation_tasks=4",
    "data.n_test_tasks=4",
    "method.n_iterations=1",
    "behaviour_cloning.stage_epochs=1",
    "behaviour_cloning.max_stages=1",
    "explore.unit_size=16",
];

fn eef(verb: &str, run: &Path, arguments: &[&str]) -> Output {
    let mut command = common::eef(verb);
    command.arg("--run-dir").arg(run).args(arguments).output().unwrap()
}

/// The arguments of a run that can work, and more.
fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    SETTINGS
        .into_iter()
        .flat_map(|setting| ["--set", setting])
        .chain(arguments.iter().copied())
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn embedded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/embedded.toml")
}

/// Fails with a message that contains this, and gives it.
fn assert_refused(output: &Output, part: &str) {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(part), "expected {part} in: {message}");
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_command_that_cannot_work_leaves_the_directory_to_one_that_can() {
    if common::fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let bad: [(&[&str], &str); 5] = [
        (&["--set", "train.warmup_fraction=7"], "warmup_fraction"),
        (&["--set", r#"data.bc_experts=["scripted-stronk"]"#], "did you mean scripted-strong?"),
        (&["--method", "rft-x6", "--set", "method.temperatures=[]"], "method.temperatures"),
        (&["--set", "behaviour_cloning.patience=0"], "behaviour_cloning.patience"),
        (&["--device", "abacus"], "abacus"),
    ];
    for (arguments, part) in bad {
        assert_refused(&eef("iterate", &run, &with(arguments)), part);
        assert!(!run.exists(), "{arguments:?} left a run directory");
        if arguments[0] != "--device" {
            assert_refused(
                &eef("iterate", &run, &with(&[arguments, &["--dry-run"]].concat())),
                part,
            );
        }
        if arguments[0] != "--method" {
            assert_refused(&eef("compare", &run, &with(arguments)), part);
            assert!(!run.exists(), "{arguments:?} left a directory of a comparison");
        }
    }
    let nothing = with(&["--set", "data.experts=[]", "--set", "data.bc_experts=[]"]);
    assert_refused(&eef("iterate", &run, &nothing), "no expert trajectory to imitate");
    assert!(!run.exists());
    assert_success(&eef("iterate", &run, &with(&[])));
}

#[test]
fn a_directory_in_which_nothing_was_done_takes_another_configuration() {
    if common::fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    // What older programs left where they failed after they had made the directory.
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("config.toml"), "name = \"embedded\"\nseed = 77\n").unwrap();
    std::fs::write(run.join("provenance.json"), "{\"seed\": 77}").unwrap();
    std::fs::write(run.join("run.lock"), "").unwrap();
    let embedded = embedded();
    let given = ["--config", embedded.to_str().unwrap()];
    assert_success(&eef("iterate", &run, &with(&given)));
    let config: toml::Table =
        std::fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap();
    assert_eq!(config["seed"].as_integer(), Some(1));

    // Now something was done, and it stays what it is.
    let other = with(&[&given[..], &["--set", "train.n_epochs=99"]].concat());
    assert_refused(&eef("iterate", &run, &other), "train.n_epochs was 4 and is 99");
}

#[test]
fn a_run_that_is_there_brings_its_configuration() {
    if common::fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let first = eef("iterate", &run, &with(&["--method", "sft-all", "--json"]));
    assert_success(&first);
    // The directory alone continues the run, which is complete: with its method and its tasks.
    let again = eef("iterate", &run, &["--json"]);
    assert_success(&again);
    assert_eq!(text(&again.stdout), text(&first.stdout));

    let evaluated = eef("evaluate", &run, &["--json"]);
    assert_success(&evaluated);
    let evaluation: Value = serde_json::from_slice(&evaluated.stdout).unwrap();
    let report: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(evaluation["n_tasks"], 4);
    assert_eq!(evaluation["win_rate"], report["test"]["win_rate"]);
    assert_success(&eef("inspect", &run, &["--masks", "--limit", "1"]));

    // The embedded configuration has more test tasks than the run was made with.
    let embedded = embedded();
    let given = ["--config", embedded.to_str().unwrap()];
    assert_refused(&eef("evaluate", &run, &given), "leave --config out");
    assert_refused(&eef("inspect", &run, &given), "_tasks was ");
}

#[test]
fn another_program_or_machine_is_noted_and_every_line_is_json() {
    if common::fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert_success(&eef("iterate", &run, &with(&[])));
    let file = run.join("provenance.json");
    let mut provenance: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(provenance["program"], format!("eef-cli {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(provenance["architecture"], std::env::consts::ARCH);
    assert_eq!(provenance["n_workers"], 2);
    assert!(provenance["cpu_features"].is_array(), "{provenance}");

    let notes = || -> Vec<String> {
        let output = eef("iterate", &run, &with(&["--json"]));
        assert_success(&output);
        let lines = text(&output.stderr);
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let notes = events.filter(|event| event["event"] == "note");
        notes.map(|note| note["text"].as_str().unwrap().to_owned()).collect()
    };
    let is_warning = |note: &String| note.contains("another program or on another machine");
    assert!(!notes().iter().any(is_warning));
    provenance["cpu_features"] = serde_json::json!(["abacus"]);
    std::fs::write(&file, provenance.to_string()).unwrap();
    let notes = notes();
    let warnings: Vec<_> = notes.iter().filter(|note| is_warning(note)).collect();
    assert_eq!(warnings.len(), 1, "{notes:?}");
    assert!(warnings[0].contains("the processor's features: abacus / "), "{warnings:?}");
}
