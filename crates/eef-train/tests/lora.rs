//! Training adapters: what is trained, what is written, and that no circumstance changes a byte.

#![allow(clippy::unwrap_used, reason = "a failure of set-up is a failure of the test")]

mod common;

use std::fs;

use common::{Folders, Reports, StopAfter, examples, six_steps};
use eef_llama::{Llama, LoraConfig, LoraTarget, device};
use eef_train::{TrainConfig, TrainError};

fn config() -> TrainConfig {
    let targets = vec![LoraTarget::Q, LoraTarget::V, LoraTarget::Down];
    let lora = LoraConfig { rank: 2, targets, ..LoraConfig::default() };
    TrainConfig { lora: Some(lora), ..six_steps() }
}

fn adapter(folders: &Folders, name: &str) -> Vec<u8> {
    fs::read(folders.output(name).join("adapter").join("adapter_model.safetensors")).unwrap()
}

#[test]
fn targets_change_and_nothing_else() {
    let folders = Folders::new();
    folders.train("lora", &config(), &examples(11), &mut ()).unwrap();
    let cpu = device("cpu").unwrap();
    let before = Llama::load(&folders.init(), &cpu).unwrap();
    let after = Llama::load(&folders.output("lora"), &cpu).unwrap();
    let mut n_changed = 0;
    for (before, after) in before.tensors().zip(after.tensors()) {
        let is_target =
            ["q_proj", "v_proj", "down_proj"].iter().any(|name| before.name().contains(name));
        assert_eq!(before.values() != after.values(), is_target, "{}", before.name());
        n_changed += usize::from(is_target);
    }
    assert_eq!(n_changed, 2 * 3);
    let text =
        fs::read(folders.output("lora").join("adapter").join("adapter_config.json")).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(written["r"], 2);
    assert_eq!(written["target_modules"], serde_json::json!(["q_proj", "v_proj", "down_proj"]));
    folders.train("full", &six_steps(), &examples(11), &mut ()).unwrap();
    // Beside merged weights transformers would add it to them once more.
    assert!(!folders.output("lora").join("adapter_config.json").exists());
    assert!(!folders.output("full").join("adapter").exists());
}

#[test]
fn threads_change_no_byte() {
    let folders = Folders::new();
    let examples = examples(11);
    for n_workers in [1, 2, 5] {
        let config = TrainConfig { n_workers, ..config() };
        folders.train(&n_workers.to_string(), &config, &examples, &mut ()).unwrap();
    }
    for other in ["2", "5"] {
        assert!(folders.weights("1") == folders.weights(other));
        assert!(adapter(&folders, "1") == adapter(&folders, other));
    }
}

#[test]
fn micro_batches_have_the_same_gradient() {
    let folders = Folders::new();
    let norm = |micro_batch_tokens: usize| {
        let mut reports = Reports::default();
        let config = TrainConfig { micro_batch_tokens, ..config() };
        let name = micro_batch_tokens.to_string();
        folders.train(&name, &config, &examples(8), &mut reports).unwrap();
        reports.0[0].gradient_norm
    };
    let (one_by_one, together) = (norm(1), norm(10_000));
    assert!(together > 0.0 && (one_by_one - together).abs() < 1e-6 * together);
}

#[test]
fn interrupted_at_any_step_it_ends_with_the_same_bytes() {
    let folders = Folders::new();
    let (config, examples) = (config(), examples(11));
    let whole = folders.train("whole", &config, &examples, &mut ()).unwrap();
    for n_steps in 1..6 {
        let name = format!("stopped-{n_steps}");
        let error = folders.train(&name, &config, &examples, &mut StopAfter(n_steps)).unwrap_err();
        assert!(matches!(error, TrainError::Interrupted { step, .. } if step == n_steps));
        assert_eq!(folders.train(&name, &config, &examples, &mut ()).unwrap(), whole);
        assert!(folders.weights(&name) == folders.weights("whole"), "after step {n_steps}");
        assert!(adapter(&folders, &name) == adapter(&folders, "whole"), "after step {n_steps}");
    }
}

#[test]
fn another_rank_is_another_training_and_full_ones_are_written_as_before() {
    let folders = Folders::new();
    folders.train("lora", &config(), &examples(11), &mut ()).unwrap();
    let lora = LoraConfig { rank: 3, ..LoraConfig::default() };
    let other = TrainConfig { lora: Some(lora), ..six_steps() };
    let error = folders.train("lora", &other, &examples(11), &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Foreign { .. }), "{error}");
    assert!(!serde_json::to_string(&six_steps()).unwrap().contains("lora"));
    let none = LoraConfig { rank: 0, ..LoraConfig::default() };
    let message =
        TrainConfig { lora: Some(none), ..six_steps() }.validate().unwrap_err().to_string();
    assert!(message.contains("rank"), "{message}");
}
