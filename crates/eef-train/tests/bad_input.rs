//! Input that cannot be trained on: one clear error each, before any time is spent.

#![allow(clippy::unwrap_used, reason = "a failure of set-up is a failure of the test")]

mod common;

use std::error::Error;
use std::fs;

use common::{Folders, Reports, examples, six_steps};
use eef_train::{TrainConfig, TrainError, TrainExample};

fn chain(error: &TrainError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[test]
fn no_examples_and_unknown_tokens_are_named() {
    let folders = Folders::new();
    let error = folders.train("none", &six_steps(), &[], &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::NoExamples));

    let mut with_unknown = examples(3);
    with_unknown.push(TrainExample::fully_trained(vec![1, 2, 24]).unwrap());
    let error = folders.train("unknown", &six_steps(), &with_unknown, &mut ()).unwrap_err();
    assert!(error.to_string().contains("example 3, token 2: id 24"), "{error}");

    let long = [TrainExample::fully_trained(vec![1; 65]).unwrap()];
    let error = folders.train("long", &six_steps(), &long, &mut ()).unwrap_err();
    assert!(error.to_string().contains("65 tokens"), "{error}");
}

#[test]
fn a_missing_or_truncated_model_is_named() {
    let folders = Folders::new();
    let file = folders.init().join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let error = folders.train("truncated", &six_steps(), &examples(2), &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Model { doing: "read", .. }), "{error}");
    assert!(chain(&error).contains("model.safetensors"), "{}", chain(&error));

    fs::remove_file(&file).unwrap();
    let error = folders.train("missing", &six_steps(), &examples(2), &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Model { doing: "read", .. }), "{error}");
    assert!(chain(&error).contains("model.safetensors"), "{}", chain(&error));
    assert!(!folders.output("missing").exists());
}

#[test]
fn a_training_that_diverges_stops_after_three_steps_and_writes_no_model() {
    let folders = Folders::new();
    // A learning rate that overflows every weight in its first step.
    let config = TrainConfig {
        learning_rate: 1e38,
        warmup_fraction: 0.0,
        checkpoint_every_steps: 1,
        ..six_steps()
    };
    let mut reports = Reports::default();
    let error = folders.train("diverged", &config, &examples(11), &mut reports).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { n_steps: 3, step: 4, .. }), "{error}");
    let updated: Vec<bool> = reports.0.iter().map(|report| report.updated).collect();
    assert_eq!(updated, [true, false, false, false]);
    assert!(!folders.output("diverged").exists());
}
