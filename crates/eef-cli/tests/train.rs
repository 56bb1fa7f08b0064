//! `train`: conversations and preferences from a file, killed at random moments, and refused.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use common::fixtures;
use eef_core::Seed;
use serde_json::{Value, json};

/// Kills that must hit a working process; `EEF_KILLS` asks for more.
fn n_kills() -> usize {
    std::env::var("EEF_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

fn train(folder: &Path, data: &str, out: &str, more: &[&str]) -> Command {
    train_on(&fixtures().unwrap().join("base"), folder, data, out, more)
}

fn train_on(model: &Path, folder: &Path, data: &str, out: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eef-cli"));
    command.arg("train").arg("--model").arg(model);
    command.arg("--data").arg(folder.join(data)).arg("--out").arg(folder.join(out));
    command.args(more).env_remove("RUST_LOG");
    command
}

fn run(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn said(role: &str, content: impl Into<String>) -> Value {
    json!({ "role": role, "content": content.into() })
}

/// Conversations about a shop that this model knows a little of.
fn chats(n: usize) -> String {
    let mut text = String::new();
    for i in 0..n {
        let messages = [
            said("user", format!("product {i}, price ${i}.00")),
            said("assistant", format!("search {i}")),
            said("user", "WEB PAGE"),
            said("assistant", "buy"),
        ];
        writeln!(text, "{}", json!({ "messages": messages })).unwrap();
    }
    text
}

fn pairs(n: usize) -> String {
    let mut text = String::new();
    for i in 0..n {
        let messages = [said("user", format!("product {i}"))];
        let pair =
            json!({ "messages": messages, "chosen": "buy", "rejected": format!("back {i}") });
        writeln!(text, "{pair}").unwrap();
    }
    text
}

fn weights(folder: &Path, out: &str) -> Vec<u8> {
    std::fs::read(folder.join(out).join("model.safetensors")).unwrap()
}

fn last_metrics(folder: &Path, out: &str) -> Value {
    let path = folder.join(format!("{out}.training")).join("metrics.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn conversations_and_preferences_are_learnt() {
    if fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("chats.jsonl"), chats(12)).unwrap();
    std::fs::write(path.join("pairs.jsonl"), pairs(12)).unwrap();

    let usual = ["--epochs", "6", "--batch-size", "4", "--learning-rate", "1e-3", "--json"];
    let output = run(train(path, "chats.jsonl", "tuned", &usual));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let losses: Vec<f64> = serde_json::from_value(report["epoch_losses"].clone()).unwrap();
    assert_eq!((losses.len(), report["steps"].as_u64()), (6, Some(18)));
    assert!(losses[5] < 0.5 * losses[0], "{losses:?}");
    // What was tuned can be tuned on, and computes the same layer by layer.
    let tuned = path.join("tuned");
    for (out, more) in [("more", "--device=cpu,cpu"), ("light", "--checkpoint-layers")] {
        let mut command = train_on(&tuned, path, "pairs.jsonl", out, &usual);
        command.args([more, "--lora-rank", "4"]);
        run(command);
        let metrics = last_metrics(path, out);
        assert_eq!(metrics["preference"]["accuracy"], 1.0, "{metrics}");
        assert!(path.join(out).join("adapter/adapter_config.json").is_file());
    }
    let [one, other] = ["more", "light"].map(|out| last_metrics(path, out)["loss"].as_f64());
    assert!((one.unwrap() - other.unwrap()).abs() < 1e-4, "{one:?} {other:?}");
}

#[test]
fn kills_at_random_moments_change_no_byte() {
    if fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("chats.jsonl"), chats(60)).unwrap();
    std::fs::write(path.join("pairs.jsonl"), pairs(40)).unwrap();
    let usual = ["--epochs", "3", "--batch-size", "2", "--checkpoint-every", "1"];
    for data in ["chats.jsonl", "pairs.jsonl"] {
        let begun = Instant::now();
        run(train(path, data, &format!("{data}-whole"), &usual));
        let duration = begun.elapsed();
        let expected = weights(path, &format!("{data}-whole"));
        let mut rng = Seed::new(7).rng();
        let (mut n_killed, mut n_runs) = (0, 0);
        while n_killed < n_kills().div_ceil(2) {
            let out = format!("{data}-{n_runs}");
            n_runs += 1;
            let mut complete = false;
            while !complete && n_killed < n_kills().div_ceil(2) {
                let mut command = train(path, data, &out, &usual);
                let mut child =
                    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                std::thread::sleep(duration.mul_f64(0.05 + 0.5 * rng.uniform()));
                complete = child.try_wait().unwrap().is_some();
                if !complete {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    n_killed += 1;
                }
            }
            run(train(path, data, &out, &usual));
            assert!(weights(path, &out) == expected, "{out} differs");
        }
    }
}

#[test]
fn the_plan_says_what_memory_is_needed() {
    if fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("chats.jsonl"), chats(5)).unwrap();
    let plan = |more: &[&str]| -> Value {
        let more: Vec<_> = ["--dry-run", "--json"].iter().chain(more).copied().collect();
        serde_json::from_slice(&run(train(path, "chats.jsonl", "out", &more)).stdout).unwrap()
    };
    let full = plan(&[]);
    assert_eq!((full["units"].as_u64(), full["steps"].as_u64()), (Some(5), Some(3)));
    assert_eq!(full["learning_rate"], 5e-5);
    let lora = plan(&["--lora-rank", "2"]);
    let total = |plan: &Value| plan["memory_total"].as_u64().unwrap();
    assert!(total(&lora) < total(&full));
    assert_eq!(lora["learning_rate"], 2e-4);
    assert!(!path.join("out").exists() && !path.join("out.training").exists());
    let text = run(train(path, "chats.jsonl", "out", &["--dry-run"])).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("5 conversations") && text.contains("at the peak"), "{text}");
}

#[test]
fn bad_input_is_one_clear_line() {
    if fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().to_owned();
    let mixed = chats(1) + &pairs(1);
    let long = json!({ "messages": [said("user", "a ".repeat(9_000)), said("assistant", "b")] });
    let files: [(&str, &str, &str); 5] = [
        ("empty.jsonl", "\n", "holds no conversation"),
        ("mixed.jsonl", &mixed, "1 conversations and 1 pairs"),
        ("broken.jsonl", "{\"messages\": 3}\n", "broken.jsonl, line 1"),
        ("long.jsonl", &long.to_string(), "the context holds"),
        ("role.jsonl", "{\"messages\": [{\"role\": \"tool\", \"content\": \"a\"}]}", "`tool`"),
    ];
    for (name, text, expected) in files {
        std::fs::write(path.join(name), text).unwrap();
        let output = train(&path, name, "out", &[]).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{name}: {message}");
    }
    let output = train(&path, "absent.jsonl", "out", &[]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("absent.jsonl"), "{message}");
    std::fs::write(path.join("chats.jsonl"), chats(2)).unwrap();
    let output = train(&path, "chats.jsonl", "out", &["--beta", "0"]).output().unwrap();
    assert!(output.status.success(), "beta is for pairs alone");
    std::fs::write(path.join("pairs.jsonl"), pairs(2)).unwrap();
    let output = train(&path, "pairs.jsonl", "out2", &["--beta", "0"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("preference.beta"), "{message}");
}
