//! `bench --train`: what it prints, and what it refuses.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::fs;

use common::{eef, fixtures};
use serde_json::{Value, json};

#[test]
fn training_is_measured_on_the_examples_of_a_file() {
    if fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("examples.json");
    let example = json!({ "token_ids": [1, 5, 9, 2], "trained": [false, false, true, true] });
    fs::write(&file, json!(vec![example; 5]).to_string()).unwrap();
    let bench = |batch_size: &str, more: &[&str]| {
        let mut command = eef("bench");
        command.arg("--train").arg(&file).args(["--batch-size", batch_size]);
        let output = command.args(more).output().unwrap();
        (output.status.success(), output.stdout, String::from_utf8(output.stderr).unwrap())
    };

    let (succeeded, printed, errors) = bench("2", &["--json"]);
    assert!(succeeded, "{errors}");
    let measured: Value = serde_json::from_slice(&printed).unwrap();
    assert_eq!(measured["work"], "train 2 steps of 2");
    // The first step is not counted, the last has one example.
    assert_eq!(
        (measured["tokens"].as_u64(), measured["trained_tokens"].as_u64()),
        (Some(12), Some(6))
    );
    assert_eq!(measured["losses"].as_array().unwrap().len(), 3);
    assert!(measured["seconds"].as_f64().unwrap() > 0.0);

    let refused = [
        ("5", vec![], "the first step is not counted"),
        ("2", vec!["--only", "decode"], "cannot be used with"),
        ("2", vec!["--model", "nowhere"], "does not exist"),
    ];
    for (batch_size, more, reason) in refused {
        let (succeeded, _, errors) = bench(batch_size, &more);
        assert!(!succeeded && errors.contains(reason), "{more:?}: {errors}");
    }
    fs::write(&file, r#"[{"token_ids": [1, 2], "trained": [true, false]}]"#).unwrap();
    let (_, _, errors) = bench("1", &[]);
    assert!(errors.contains("example 0") && errors.contains("trains none"), "{errors}");
    fs::write(&file, r#"[{"tokens": [1, 2]}]"#).unwrap();
    let (_, _, errors) = bench("1", &[]);
    assert!(errors.contains("expected a list") && errors.contains("tokens"), "{errors}");
}
