//! A plan counts what is there, says what it assumes, and lists what cannot be used.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::process::Output;

use serde_json::Value;

fn dry_run(arguments: &[&str]) -> Output {
    common::eef("iterate").arg("--dry-run").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn plan(arguments: &[&str]) -> Value {
    let output = dry_run(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The phase of a name.
fn phase<'p>(plan: &'p Value, name: &str) -> &'p Value {
    let phases = plan["phases"].as_array().unwrap();
    phases.iter().find(|phase| phase["name"] == name).unwrap()
}

#[test]
fn what_is_there_is_counted_and_only_the_machine_is_assumed() {
    if common::fixtures().is_none() {
        return;
    }
    let plan = plan(&["--set", "data.n_train_tasks=24"]);
    assert_eq!(plan["missing"], serde_json::json!([]));
    let sizes = &plan["sizes"];
    let assumed = sizes["assumed"].as_array().unwrap();
    let keys: Vec<&str> = assumed.iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["gigaflops", "bytes_per_trained_parameter"]);
    assert_eq!(number(&assumed[0]["value"]), 60.0);

    // The file has trajectories of every training task; the run uses those of its own.
    let n_experts = number(&sizes["n_experts"]);
    assert!(n_experts > 0.0 && n_experts <= 24.0, "{sizes}");
    let n_imitated = number(&sizes["n_imitated"]);
    assert!(n_imitated < n_experts, "the teacher fails some: {sizes}");
    assert_eq!(n_imitated, (n_experts * number(&sizes["positive_share"])).round());
    let stages = &phase(&plan, "behaviour cloning");
    assert_eq!(number(&stages["n_examples"]), n_imitated);

    // Each trained token is one that an example has, ten stages of four epochs at most.
    let n_tokens = number(&sizes["read_tokens"]) + number(&sizes["said_tokens"]);
    let trained = number(&stages["n_training_tokens"]);
    assert!((trained - 40.0 * n_imitated * n_tokens).abs() < 1.0, "{trained}");
    assert!(number(&sizes["said_tokens"]) > number(&sizes["actions"]), "an action has tokens");

    // At most a solution for every task and a recovery for every expert trajectory.
    let round = phase(&plan, "round 2: train");
    assert_eq!(number(&round["n_examples"]), 24.0 + n_experts);
    let explored = phase(&plan, "round 2: explore");
    let n_rollouts = number(&explored["n_rollouts"]);
    assert!(n_rollouts > 24.0 && n_rollouts <= 24.0 + 5.0 * n_experts, "{n_rollouts}");
}

#[test]
fn only_the_named_experts_are_imitated() {
    if common::fixtures().is_none() {
        return;
    }
    let experts = r#"data.experts=["fixtures/experts/scripted-strong.jsonl", "fixtures/experts/scripted-weak.jsonl"]"#;
    let both = ["--set", experts, "--set", "data.bc_experts=[]"];
    let strong = ["--set", experts, "--set", r#"data.bc_experts=["scripted-strong"]"#];
    let (both, strong) = (plan(&both), plan(&strong));
    assert_eq!(both["sizes"]["n_experts"], strong["sizes"]["n_experts"]);
    assert!(number(&both["sizes"]["n_imitated"]) > number(&strong["sizes"]["n_imitated"]));
}

#[test]
fn a_method_without_exploration_is_tested_once() {
    if common::fixtures().is_none() {
        return;
    }
    let plan = plan(&["--method", "sft-all"]);
    assert_eq!(plan["phases"].as_array().unwrap().len(), 3);
    assert_eq!(number(&phase(&plan, "test")["n_rollouts"]), number(&plan["sizes"]["n_test"]));
    assert_eq!(plan["sizes"]["n_imitated"], plan["sizes"]["n_experts"]);
}

#[test]
fn memory_grows_with_what_is_held_at_once() {
    if common::fixtures().is_none() {
        return;
    }
    let cache = |arguments: &[&str]| number(&plan(arguments)["memory"]["cache_bytes"]);
    let usual = cache(&[]);
    assert!(usual > 0.0);
    assert_eq!(cache(&["--set", "explore.max_sequences=128"]), 2.0 * usual);
    let whole = number(&plan(&[])["memory"]["context_length"]);
    let half = format!("model.context_length={}", whole / 2.0);
    assert_eq!(cache(&["--set", &half]), usual / 2.0);
}

#[test]
fn what_cannot_be_used_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(at("shop")).unwrap();
    std::fs::create_dir(at("model")).unwrap();
    std::fs::write(at("model/config.json"), "{}").unwrap();
    std::fs::write(at("experts.jsonl"), "{\"no\": \"trajectory\"}\n").unwrap();
    let settings = [
        format!("data.directory={:?}", at("shop")),
        format!("data.experts=[{:?}]", at("experts.jsonl")),
        format!("model.base={:?}", at("model")),
    ];
    let mut arguments: Vec<&str> = settings.iter().flat_map(|one| ["--set", one]).collect();
    let output = dry_run(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert_eq!(printed.matches("  cannot be used: ").count(), 3, "{printed}");
    arguments.extend(["--device", "abacus"]);
    let plan = plan(&arguments);
    let missing = plan["missing"].as_array().unwrap();
    let what: Vec<&str> = missing.iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["device", "data", "expert trajectories", "base model"]);
    assert!(missing.iter().all(|one| one["error"].is_string()), "{plan}");

    // Everything is assumed, and each assumption is listed with its value.
    let assumed = plan["sizes"]["assumed"].as_array().unwrap();
    let value = |key: &str| {
        let found = assumed.iter().find(|one| one["key"] == key);
        number(&found.unwrap_or_else(|| panic!("{key} is not in {assumed:?}"))["value"])
    };
    assert_eq!(value("n_train_tasks"), 1000.0);
    assert_eq!(value("prompt_tokens"), 60.0);
    assert_eq!(value("reply_tokens"), 8.0);
    assert_eq!(value("positive_share"), 0.4);
    assert_eq!(plan["memory"]["cache_bytes"], Value::Null);
}

#[test]
fn a_machine_that_computes_nothing_is_refused() {
    let output = dry_run(&["--set", "plan.gigaflops=0"]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.contains("plan.gigaflops is 0: expected a positive number"), "{message}");
}
