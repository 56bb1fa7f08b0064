//! `import`: what replays is kept, what does not is named.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::path::Path;
use std::process::Output;

use common::{eef, fixtures};
use serde_json::{Value, json};

/// The embedded weak teacher's first failures, as ETO writes trajectories; none where the fixtures
/// are not there.
fn records(n_records: usize) -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(fixtures()?.join("experts/scripted-weak.jsonl")).unwrap();
    let teacher = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let failures = teacher.filter(|tried| tried["reward"].as_f64().unwrap() < 1.0);
    let records: Vec<_> = failures.take(n_records).map(|tried| record(&tried)).collect();
    assert_eq!(records.len(), n_records);
    Some(records)
}

fn record(tried: &Value) -> Value {
    let said = |from: &str, value: &Value| json!({ "from": from, "value": value });
    let instruction = tried["instruction"].as_str().unwrap();
    let mut conversations = vec![
        json!({ "from": "human", "value": "You are shopping." }),
        json!({ "from": "gpt", "value": "OK" }),
        json!({ "from": "human", "value": format!("Observation: Instruction: {instruction}") }),
    ];
    for step in tried["steps"].as_array().unwrap() {
        conversations.push(said("gpt", &step["reply"]));
        conversations.push(said("human", &step["observation"]));
    }
    json!({ "id": tried["index"], "conversations": conversations, "reward": tried["reward"] })
}

/// A message of a record: the first action is message 3, its answer message 4.
fn message(record: &mut Value, index: usize) -> &mut Value {
    &mut record["conversations"][index]["value"]
}

fn import(folder: &Path, records: &str, more: &[&str]) -> Output {
    std::fs::write(folder.join("records.jsonl"), records).unwrap();
    let mut command = eef("import");
    command.args(["records.jsonl", "--expert", "gpt-x", "--out", "out.jsonl"]).args(more);
    command.env_remove("EEF_FIXTURES").current_dir(folder).output().unwrap()
}

fn lines(records: &[Value]) -> String {
    let lines: Vec<_> = records.iter().map(Value::to_string).collect();
    lines.join("\n") + "\n"
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_record_that_does_not_replay_is_named_and_not_used() {
    let Some(mut records) = records(7) else { return };
    let answer = message(&mut records[1], 4);
    let other = answer.as_str().unwrap().replacen('$', "$1", 1);
    assert_ne!(*answer, other, "the teacher searches first, and results have prices");
    *answer = other.into();
    *message(&mut records[2], 3) = "fly[moon]".into();
    records[3]["reward"] = 1.0.into();
    *message(&mut records[4], 3) = "Thought: hm\nAction:".into();
    *message(&mut records[5], 2) = "Observation: Instruction: sell the moon".into();
    let search = message(&mut records[6], 3);
    *search = format!("Thought: Let me look.\nAction: {}", search.as_str().unwrap()).into();

    let folder = tempfile::tempdir().unwrap();
    let output = import(folder.path(), &lines(&records), &["--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let counts =
        ["trajectories", "positive", "diverged", "reward_differs", "task_unknown"].map(|key| {
            let count = &result[key];
            count.as_u64().unwrap_or_else(|| panic!("{key}: {count}"))
        });
    assert_eq!(counts, [2, 0, 3, 1, 1]);
    let left_out: Vec<_> = result["left_out"].as_array().unwrap().iter().collect();
    let why = |left_out: &&Value| {
        let reason = left_out["reason"].as_str().unwrap().to_owned();
        (left_out["position"].as_u64().unwrap(), reason, left_out["reply"].as_u64())
    };
    let expected = [
        (2, "other-answer", Some(1)),
        (3, "other-answer", Some(1)),
        (4, "other-reward", None),
        (5, "no-action", Some(1)),
        (6, "unknown-task", None),
    ];
    let expected = expected.map(|(position, reason, reply)| (position, reason.to_owned(), reply));
    assert_eq!(left_out.iter().map(why).collect::<Vec<_>>(), expected);
    assert_eq!(left_out[0]["expected"], *message(&mut records[1], 4));
    assert_ne!(left_out[0]["found"], left_out[0]["expected"]);

    // What is kept holds the environment's answers, and a thought is an action of its own.
    let written = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    let written: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(written.len(), 2);
    let thought = r#"Think[{"response": "Let me look."}]"#;
    let of_thoughts = |kept: &&Value| kept["steps"][0]["reply"] == thought;
    let (with, without): (Vec<_>, Vec<_>) = written.iter().partition(of_thoughts);
    assert_eq!((with.len(), without.len()), (1, 1));
    assert_eq!(with[0]["steps"][0]["observation"], "OK");
    assert_eq!(without[0]["steps"][0]["observation"], *message(&mut records[0], 4));
    assert_eq!(without[0]["origin"]["name"], "gpt-x");

    let output = import(folder.path(), &lines(&records), &["--drop-thoughts"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    for named in ["records.jsonl:2 (", "records.jsonl:3 (", "records.jsonl:4 (", "jsonl:5 ("] {
        assert_eq!(said.matches(named).count(), 1, "{named} in {said}");
    }
    assert!(said.contains("it states the reward 1, and earns 0."), "{said}");
    let written = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    assert!(!written.contains("Think["));
}

#[test]
fn where_nothing_replays_nothing_is_written() {
    let Some(mut records) = records(1) else { return };
    records[0]["reward"] = 1.0.into();
    let folder = tempfile::tempdir().unwrap();
    let output = import(folder.path(), &lines(&records), &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("none of 1 records replays in fixtures/webshop"), "{said}");
    assert!(!folder.path().join("out.jsonl").exists());
}

#[test]
fn a_line_that_is_no_record_is_one_error_with_its_number() {
    let Some(records) = records(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = import(folder.path(), &format!("{}garbage\n", lines(&records)), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "error: records.jsonl:2: expected a record in JSON: expected value (column 1)\n"
    );
    assert_eq!(text(&output.stdout), "", "stdout is data");
    assert!(!folder.path().join("out.jsonl").exists());
}
