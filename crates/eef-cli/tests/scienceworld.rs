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
    let of_its_own = ["pretrain", "--out", "base", "--set", "pretrain.tasks=[\"find-plant\"]"];
    let of_its_own = fails(folder, &data, &of_its_own);
    assert!(of_its_own.contains("expected names in both, and none twice"), "{of_its_own}");
    let misspelt = ["collect", "--out", "e.jsonl", "--set", "data.only_tasks=[\"find-plants\"]"];
    assert!(fails(folder, &data, &misspelt).contains("no task find-plants"));
    assert!(!folder.join("e.jsonl").exists() && !folder.join("base").exists());
}

/// The cassette's solution of find-plant 150 as AgentTraj writes episodes, in its old spelling.
fn agent_traj(item: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(cassette()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let lines: Vec<_> = lines.collect();
    let is_start = |line: &serde_json::Value| {
        line["start"]["task"] == "find-plant" && line["start"]["variation"] == 150
    };
    let start = lines.iter().position(is_start).unwrap();
    let old =
        |text: &serde_json::Value| text.as_str().unwrap().replace("greenhouse", "green house");
    let opening = &lines[start];
    let mut said = vec![
        serde_json::json!({"from": "human", "loss": null, "value": "You play in rooms."}),
        serde_json::json!({"from": "gpt", "loss": false, "value": "OK. I'll do my best."}),
        serde_json::json!({"from": "human", "loss": null, "value":
            format!("{}\n{}", old(&opening["description"]), old(&opening["state"]["observation"]))}),
    ];
    for line in lines[start + 1..].iter().take_while(|line| line["start"].is_null()) {
        let reply = format!("Thought:\nI go on.\n\nAction:\n{}", old(&line["action"]));
        said.push(serde_json::json!({"from": "gpt", "loss": true, "value": reply}));
        let answer = old(&line["state"]["observation"]);
        said.push(serde_json::json!({"from": "human", "loss": null, "value": answer}));
    }
    serde_json::json!({"conversations": said, "item_id": item})
}

#[test]
fn episodes_of_agent_traj_are_imported() {
    let data = cassette();
    if !data.exists() {
        eprintln!("skipped: the fixtures are not part of the packaged crate");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut other = agent_traj("find-plant_150");
    other["conversations"][4]["value"] = "The door is locked.".into();
    // AgentGym counts 3,536 games before find-plant's; and a plant is no animal.
    let records = [agent_traj("sciworld_3686"), other, agent_traj("sciworld_3836")];
    std::fs::write(folder.join("theirs.json"), serde_json::json!(records).to_string()).unwrap();
    // The cassette holds no animals: records of them are of no task of the data.
    let only = ["--set", "data.only_tasks=[\"find-plant\", \"find-living-thing\"]"];
    let import = |arguments: &[&str]| -> serde_json::Value {
        let fixed = ["--json", "import", "theirs.json", "--out", "e.jsonl", "--expert", "gpt-4"];
        let output = eef(folder, &data, &[&fixed[..], &only, arguments].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let found = import(&[]);
    let counts = ["trajectories", "positive", "diverged", "task_unknown"].map(|key| &found[key]);
    assert_eq!(counts, [1, 1, 1, 1], "{found}");
    assert_eq!(found["replays"]["exact"], 1, "{found}");
    assert_eq!(found["replays"]["respelt"], 1, "{found}");
    let left_out = &found["left_out"][0];
    assert_eq!((&left_out["reason"], &left_out["reply"]), (&"other-answer".into(), &1.into()));
    let kept = std::fs::read_to_string(folder.join("e.jsonl")).unwrap();
    assert!(!kept.contains("green house") && !kept.contains("I go on."));
    let react = import(&["--keep-diverged", "--set", "data.action_format=react"]);
    assert_eq!((&react["trajectories"], &react["replays"]["diverged"]), (&2.into(), &1.into()));
    assert!(std::fs::read_to_string(folder.join("e.jsonl")).unwrap().contains("I go on."));
    let off = ["import", "theirs.json", "--out", "none.jsonl", "--expert", "gpt-4", "--normalize"];
    let said = fails(folder, &data, &[&off[..], &["off"], &only].concat());
    // As it was said then, which nobody has recorded.
    assert!(said.contains("does not hold `open door to green house`"), "{said}");
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
    let arguments =
        ["--json", "collect", "--teacher", "oracle", "--tasks", "1", "--out", "r.jsonl"];
    let react = ["--set", "data.action_format=react"];
    let output = eef(folder, &data, &[&arguments[..], &react].concat());
    let counts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(counts["positive"], 1, "{counts}");
    assert!(std::fs::read_to_string(folder.join("r.jsonl")).unwrap().contains("Thought:"));
    let (weak, _) = collect("scripted-weak", "weak.jsonl");
    assert_eq!(weak, collect("scripted-weak", "again.jsonl").0);
}
