//! ScienceWorld from the command line: with a cassette everywhere, with the simulator where
//! `EEF_SCIENCEWORLD_JAR` names its jar. Without it these say so and pass, unless `EEF_REQUIRE` asks
//! for `jar`.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the program in a folder, on ScienceWorld in the data directory given.
fn eef(folder: &Path, data: &Path, arguments: &[&str]) -> Output {
    let configuration = folder.join("scienceworld.toml");
    let text = format!(
        "name = \"scienceworld\"\n[data]\nenvironment = \"scienceworld\"\ndirectory = {:?}\n\
         only_tasks = [\"find-plant\", \"find-animal\"]\n",
        data.display().to_string()
    );
    std::fs::write(&configuration, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_eef-cli"))
        .arg("--config")
        .arg(&configuration)
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn fails(folder: &Path, data: &Path, arguments: &[&str]) -> String {
    let output = eef(folder, data, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn cassette() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scienceworld/find.jsonl")
}

/// The folder of the jar, if there is one.
fn simulator() -> Option<PathBuf> {
    let Some(jar) = std::env::var_os("EEF_SCIENCEWORLD_JAR").map(PathBuf::from) else {
        let required = std::env::var("EEF_REQUIRE").unwrap_or_default();
        let asks = required.split(',').any(|word| word.trim() == "jar");
        assert!(!asks, "EEF_SCIENCEWORLD_JAR names no jar, but EEF_REQUIRE asks");
        eprintln!("skipped: EEF_SCIENCEWORLD_JAR names no jar");
        return None;
    };
    jar.parent().map(Path::to_owned)
}

#[test]
fn what_needs_the_simulator_or_a_shop_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = cassette();
    if !data.exists() {
        eprintln!("skipped: the fixtures are not part of the packaged crate");
        return;
    }
    let asks_the_simulator = fails(folder, &data, &["collect", "--out", "e.jsonl"]);
    assert!(asks_the_simulator.contains("cargo xtask prepare-data scienceworld wrote"));
    let nothing_there = fails(folder, &folder.join("none"), &["collect", "--out", "e.jsonl"]);
    assert!(nothing_there.contains("does not exist"), "{nothing_there}");
    std::fs::write(folder.join("theirs.json"), "[]").unwrap();
    let import = ["import", "theirs.json", "--out", "e.jsonl", "--expert", "gpt-4"];
    assert!(fails(folder, &data, &import).contains("import is for data.environment"));
    let of_its_own = ["pretrain", "--out", "base", "--set", "pretrain.tasks=[\"find-plant\"]"];
    let of_its_own = fails(folder, &data, &of_its_own);
    assert!(of_its_own.contains("expected names in both, and none twice"), "{of_its_own}");
    let misspelt = ["collect", "--out", "e.jsonl", "--set", "data.only_tasks=[\"find-plants\"]"];
    assert!(fails(folder, &data, &misspelt).contains("no task find-plants"));
    assert!(!folder.join("e.jsonl").exists() && !folder.join("base").exists());
}

#[test]
fn scripted_teachers_do_the_same_each_time() {
    let Some(data) = simulator() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let collect = |teacher: &str, out: &str| {
        let arguments = ["--json", "collect", "--teacher", teacher, "--tasks", "4", "--out", out];
        let output = eef(folder, &data, &arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        (std::fs::read(folder.join(out)).unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (flawless, counts) = collect("oracle", "oracle.jsonl");
    let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
    assert_eq!(counts["positive"], 4, "{counts}");
    assert!(String::from_utf8(flawless).unwrap().contains("scienceworld-find-plant+find-animal"));
    let (weak, _) = collect("scripted-weak", "weak.jsonl");
    assert_eq!(weak, collect("scripted-weak", "again.jsonl").0);
}
