//! What the tests share: a tiny model, a few examples, and folders.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a failure of set-up is a failure of the test")]

use std::fs;
use std::path::{Path, PathBuf};

use eef_core::Seed;
use eef_llama::{Llama, LlamaConfig, device};
use eef_train::{
    StepReport, TrainConfig, TrainError, TrainExample, TrainObserver, TrainPaths, TrainSummary,
    Trainer,
};
use tempfile::TempDir;

/// A training's folders, with a model of a few thousand weights to start from.
pub struct Folders {
    pub root: TempDir,
}

impl Folders {
    pub fn new() -> Self {
        let folders = Self { root: tempfile::tempdir().unwrap() };
        let config = LlamaConfig {
            hidden_size: 16,
            intermediate_size: 24,
            num_attention_heads: 2,
            num_key_value_heads: Some(1),
            max_position_embeddings: 64,
            ..LlamaConfig::tiny(24)
        };
        let model = Llama::init(&config, 5, &device("cpu").unwrap()).unwrap();
        model.save(&folders.init()).unwrap();
        fs::write(folders.init().join("tokenizer.json"), "{}").unwrap();
        folders
    }

    pub fn init(&self) -> PathBuf {
        self.root.path().join("init")
    }

    pub fn output(&self, name: &str) -> PathBuf {
        self.root.path().join(format!("{name}-output"))
    }

    pub fn scratch(&self, name: &str) -> PathBuf {
        self.root.path().join(format!("{name}-scratch"))
    }

    /// Trains under a name of its own.
    pub fn train(
        &self,
        name: &str,
        config: &TrainConfig,
        examples: &[TrainExample],
        observer: &mut dyn TrainObserver,
    ) -> Result<TrainSummary, TrainError> {
        let paths = TrainPaths {
            init: &self.init(),
            output: &self.output(name),
            scratch: &self.scratch(name),
        };
        Trainer::new(config.clone(), device("cpu").unwrap())?.run(&paths, examples, observer)
    }

    pub fn weights(&self, name: &str) -> Vec<u8> {
        fs::read(self.output(name).join("model.safetensors")).unwrap()
    }
}

/// Examples of 4 to 20 tokens with about half of them trained.
pub fn examples(n: usize) -> Vec<TrainExample> {
    let mut rng = Seed::new(11).rng();
    let mut example = || {
        let n_tokens = 4 + rng.below(17);
        let tokens = (0..n_tokens).map(|_| rng.below(24) as u32).collect();
        let mut trained: Vec<bool> = (0..n_tokens).map(|_| rng.chance(0.5)).collect();
        trained[n_tokens - 1] = true;
        TrainExample::new(tokens, trained).unwrap()
    };
    (0..n).map(|_| example()).collect()
}

/// Six steps: two epochs of three, the last of each shorter.
pub fn six_steps() -> TrainConfig {
    TrainConfig {
        n_epochs: 2,
        batch_size: 4,
        micro_batch_tokens: 24,
        learning_rate: 1e-2,
        checkpoint_every_steps: 2,
        n_workers: 1,
        ..TrainConfig::default()
    }
}

/// Keeps every report.
#[derive(Default)]
pub struct Reports(pub Vec<StepReport>);

impl TrainObserver for Reports {
    fn stepped(&mut self, report: &StepReport) {
        self.0.push(*report);
    }
}

/// Asks to stop after a number of steps of this process.
pub struct StopAfter(pub u64);

impl TrainObserver for StopAfter {
    fn stepped(&mut self, _: &StepReport) {
        self.0 -= 1;
    }

    fn should_stop(&mut self) -> bool {
        self.0 == 0
    }
}

/// Dies in the middle of a step, as a killed process does.
pub struct DieAt(pub u64);

impl TrainObserver for DieAt {
    fn stepped(&mut self, report: &StepReport) {
        assert!(report.step != self.0, "killed");
    }
}

pub fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
