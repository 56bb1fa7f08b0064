//! The program as people meet it: help, messages, configurations, plans.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn eef(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eef-cli"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .env("COLUMNS", "100")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What goes wrong with these arguments, in a folder that holds nothing and knows no fixtures.
fn error(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_eef-cli"))
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "", "stdout is data");
    format!("$ eef-cli {}\n{}", arguments.join(" "), text(&output.stderr))
}

/// The configurations of the repository; none in the packaged crate.
fn configurations() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut found = Vec::new();
    for folder in [folder.clone(), folder.join("paper")] {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        found.extend(entries.map(|entry| entry.unwrap().path()));
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    found.sort();
    found
}

#[test]
fn help_says_what_there_is() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let verbs = [
        "", "iterate", "evaluate", "compare", "report", "inspect", "collect", "pretrain", "import",
        "export", "verify",
    ];
    for verb in verbs {
        let arguments: Vec<&str> =
            [verb, "-h"].into_iter().filter(|part| !part.is_empty()).collect();
        let output = eef(&arguments, here);
        assert!(output.status.success());
        let name = format!("help_{verb}");
        insta::assert_snapshot!(name.trim_end_matches('_'), text(&output.stdout));
    }
}

#[test]
fn mistakes_are_one_clear_line() {
    insta::assert_snapshot!(
        [
            error(&["iterate", "--config", "none.toml"]),
            error(&["iterate", "--set", "train.lerning_rate=1e-3"]),
            error(&["iterate", "--set", "explore.temperature=hot"]),
            error(&["iterate", "--set", "data.directory=\"data/none\""]),
            error(&["iterate", "--method", "ppo"]),
            error(&["compare", "--methods", "rft,ppo"]),
            error(&["compare", "--methods", "sft-pos,rft", "--reference", "eef"]),
            error(&["inspect", "--run-dir", "none"]),
            error(&["export", "--run-dir", "none", "--out", "x.jsonl"]),
            error(&["evaluate", "--model", "none"]),
            error(&["evaluate"]),
            error(&["verify", "webshop", "--data", "none", "--reference", "none"]),
        ]
        .join("\n")
    );
}

#[test]
fn recordings_are_compared_one_object_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "{\"s\": \"dark blue\", \"normalized\": \"blue\"}",
        "{\"s\": \"size 9\", \"normalized\": \"size 8\"}",
    ];
    let verify = |n_lines: usize| {
        std::fs::write(folder.path().join("color_cases.jsonl"), lines[..n_lines].join("\n"))
            .unwrap();
        eef(&["verify", "webshop", "--data", ".", "--reference", "."], folder.path())
    };
    let same = verify(1);
    assert!(same.status.success(), "{}", text(&same.stderr));
    let found: serde_json::Value = serde_json::from_slice(&same.stdout).unwrap();
    let expected = serde_json::json!({
        "file": "color_cases.jsonl", "cases": 1, "mismatches": 0, "first": null,
    });
    assert_eq!(found, expected);
    let different = verify(2);
    assert_eq!(different.status.code(), Some(1));
    assert_eq!(text(&different.stderr), "error: 1 of 2 cases differ from the recordings\n");
    let found: serde_json::Value = serde_json::from_slice(&different.stdout).unwrap();
    assert_eq!(found["mismatches"], 1);
    assert_eq!(found["first"]["expected"], "size 8");
    assert_eq!(found["first"]["found"], "size 9");
}

#[test]
fn every_configuration_loads_and_can_be_planned() {
    let configurations = configurations();
    if configurations.is_empty() {
        println!("skipped: the packaged crate has no configs/ beside it");
        return;
    }
    assert!(configurations.len() >= 8, "{configurations:?}");
    let folder = tempfile::tempdir().unwrap();
    for path in &configurations {
        let path = path.to_str().unwrap();
        let output = eef(&["--config", path, "--json", "iterate", "--dry-run"], folder.path());
        assert!(output.status.success(), "{path}: {}", text(&output.stderr));
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let phases = plan["phases"].as_array().unwrap();
        assert!(phases.len() >= 6, "{path}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a plan writes nothing");
    }
}

#[test]
fn the_papers_plans_are_the_papers() {
    let folder = tempfile::tempdir().unwrap();
    let mut n_checked = 0;
    for path in configurations() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let trajectories = match name.as_str() {
            name if name.starts_with("webshop-11k") => 11_338,
            name if name.starts_with("webshop-3k") => 2_835,
            name if name.starts_with("sciworld-2k") => 2_120,
            _ => continue,
        };
        let path = path.to_str().unwrap();
        let text_of = std::fs::read_to_string(path).unwrap();
        let config: toml::Table = text_of.parse().unwrap();
        assert_eq!(config["method"]["n_iterations"].as_integer(), Some(3));
        assert_eq!(config["method"]["n_simulations"].as_integer(), Some(5));
        assert_eq!(config["train"]["batch_size"].as_integer(), Some(64));
        assert_eq!(config["train"]["learning_rate"].as_float(), Some(5e-5));
        assert_eq!(config["train"]["n_epochs"].as_integer(), Some(6));
        assert_eq!(config["explore"]["temperature"].as_float(), Some(0.7));
        let output = eef(&["--config", path, "--json", "iterate", "--dry-run"], folder.path());
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let rollouts = plan["phases"][2]["n_rollouts"].as_f64().unwrap();
        assert_eq!(rollouts, f64::from(6 * trajectories), "{name}: 1 + M simulations a task");
        n_checked += 1;
    }
    if n_checked == 0 {
        println!("skipped: the packaged crate has no configs/ beside it");
        return;
    }
    assert_eq!(n_checked, 6);
}

#[test]
fn the_plan_of_a_paper_says_what_is_missing() {
    let Some(path) =
        configurations().into_iter().find(|path| path.ends_with("webshop-11k-llama3-8b.toml"))
    else {
        println!("skipped: the packaged crate has no configs/ beside it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // Neither the device nor the number of cores may be those of the machine that tests.
    let machine = ["--device", "cpu", "--threads", "2"];
    let arguments = ["--config", path.to_str().unwrap(), "iterate", "--dry-run"];
    let output = eef(&[&arguments[..], &machine].concat(), folder.path());
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn the_compiled_in_default_is_the_repositorys() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(theirs) = std::fs::read(here.join("../../configs/embedded.toml")) else {
        println!("skipped: the packaged crate has no configs/ beside it");
        return;
    };
    let ours = std::fs::read(here.join("configs/embedded.toml")).unwrap();
    assert!(ours == theirs, "copy crates/eef-cli/configs/embedded.toml to configs/embedded.toml");
}
