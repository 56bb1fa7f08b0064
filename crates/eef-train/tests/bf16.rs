//! Training with matrices in bfloat16: near what `f32` gives, and as resumable.

#![allow(clippy::unwrap_used, reason = "a failure of set-up is a failure of the test")]

mod common;

use common::{Folders, Reports, StopAfter, examples, six_steps};
use eef_llama::{LoraConfig, Precision};
use eef_train::{
    PreferenceConfig, PreferencePair, TrainConfig, TrainError, TrainExample, TrainPaths, Trainer,
};
use eef_weights::Checkpoint;

fn kinds() -> [(&'static str, TrainConfig); 3] {
    let all = TrainConfig { n_epochs: 8, learning_rate: 5e-3, ..six_steps() };
    let again = TrainConfig { checkpoint_layers: true, ..all.clone() };
    let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
    let adapters = TrainConfig { lora: Some(lora), learning_rate: 5e-3, ..all.clone() };
    [("all", all), ("again", again), ("adapters", adapters)]
}

fn rounded(config: &TrainConfig) -> TrainConfig {
    TrainConfig { precision: Precision::Bf16, ..config.clone() }
}

#[test]
fn losses_agree_with_those_of_f32() {
    let folders = Folders::new();
    let examples = examples(10);
    for (name, exact) in kinds() {
        let losses = |name: &str, config: &TrainConfig| {
            let mut reports = Reports::default();
            folders.train(name, config, &examples, &mut reports).unwrap();
            reports.0.iter().map(|report| report.loss).collect::<Vec<_>>()
        };
        let exact_losses = losses(&format!("{name}-f32"), &exact);
        let found = losses(&format!("{name}-bf16"), &rounded(&exact));
        assert_eq!(exact_losses.len(), 24);
        // It learns, and rounding to eight bits moves no loss by much.
        assert!(found[23] < 0.97 * found[0], "{name}: {found:?}");
        for (exact, found) in exact_losses.iter().zip(&found) {
            assert!((exact - found).abs() < 0.02 * exact, "{name}: {exact} {found}");
        }
        assert_ne!(exact_losses, found, "{name}: nothing was rounded");
    }
}

#[test]
fn trained_weights_stay_f32_and_merged_ones_are_what_the_base_was_rounded_to() {
    let folders = Folders::new();
    let examples = examples(10);
    for (name, config) in kinds() {
        folders.train(name, &rounded(&config), &examples, &mut ()).unwrap();
        let written = Checkpoint::open(&folders.output(name)).unwrap();
        let text = written.config_text();
        let is_rounded = config.lora.is_some();
        let expected = if is_rounded { "bfloat16" } else { "float32" };
        assert!(text.contains(expected), "{name}: {text}");
        // The lower half of a value's bits is empty where it was rounded.
        let gate = written.read("model.layers.0.mlp.gate_proj.weight", &[24, 16]).unwrap();
        let n_rounded = gate.iter().filter(|value| value.to_bits().trailing_zeros() >= 16).count();
        assert_eq!(n_rounded == gate.len(), is_rounded, "{name}: {n_rounded}");
    }
}

#[test]
fn an_interrupted_training_ends_with_the_same_bytes() {
    let folders = Folders::new();
    let examples = examples(10);
    for (name, config) in kinds() {
        let config = rounded(&config);
        let (whole, parts) = (format!("{name}-whole"), format!("{name}-parts"));
        folders.train(&whole, &config, &examples, &mut ()).unwrap();
        let stopped = folders.train(&parts, &config, &examples, &mut StopAfter(7));
        assert!(matches!(stopped, Err(TrainError::Interrupted { step: 7, .. })), "{stopped:?}");
        folders.train(&parts, &config, &examples, &mut ()).unwrap();
        assert_eq!(folders.weights(&whole), folders.weights(&parts), "{name}");
        // Nor do threads change anything.
        let threads = format!("{name}-threads");
        let config = TrainConfig { n_workers: 3, ..config };
        folders.train(&threads, &config, &examples, &mut ()).unwrap();
        assert_eq!(folders.weights(&whole), folders.weights(&threads), "{name}");
    }
}

#[test]
fn preferences_begin_undecided_whatever_is_rounded() {
    let folders = Folders::new();
    let all = examples(8);
    let pair =
        |two: &[TrainExample]| PreferencePair { chosen: two[0].clone(), rejected: two[1].clone() };
    let pairs: Vec<_> = all.chunks_exact(2).map(pair).collect();
    for (name, config) in kinds() {
        let paths = TrainPaths {
            init: &folders.init(),
            output: &folders.output(name),
            scratch: &folders.scratch(name),
        };
        let device = eef_llama::device("cpu").unwrap();
        let trainer = Trainer::new(rounded(&config), device).unwrap();
        let mut reports = Reports::default();
        trainer.run_preferences(&paths, &pairs, PreferenceConfig::default(), &mut reports).unwrap();
        // The model at the start is scored as it is trained: rounded.
        assert!((reports.0[0].loss - 2_f64.ln()).abs() < 1e-6, "{name}: {:?}", reports.0[0]);
        assert!(reports.0.last().unwrap().loss < 2_f64.ln(), "{name}");
    }
}
