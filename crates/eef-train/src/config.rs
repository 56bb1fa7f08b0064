//! How to train.

use eef_llama::{LoraConfig, Precision};
use serde::{Deserialize, Serialize};

use crate::groups::check_kinds;
use crate::{ParameterGroup, Schedule, TrainError};

/// Everything that decides what a training does, and how its work is spread.
///
/// The defaults fit the small models of the embedded experiment. The paper fine-tunes 7B and 8B
/// models with a batch of 64, a learning rate of 5e-5 and 6 epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the examples.
    pub n_epochs: usize,
    /// Examples per optimiser step; the last step of an epoch takes what is left.
    pub batch_size: usize,
    /// Tokens that go through the model at once. Steps are cut into micro-batches of about this
    /// size (a longer example is one by itself): smaller ones stay in the processor's caches and
    /// need less memory, larger ones amortise the overhead of operations.
    pub micro_batch_tokens: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// What becomes of the learning rate after the warm-up.
    pub schedule: Schedule,
    /// Share of the steps in which the learning rate rises linearly to its peak.
    pub warmup_fraction: f64,
    /// The optimiser's constants.
    pub adamw: AdamWConfig,
    /// Parameters that are trained in a way of their own; the last group that names a parameter counts.
    // As below: trainings without any keep their fingerprints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
    /// Largest Euclidean norm of all gradients together; longer ones are scaled down to it.
    pub max_gradient_norm: f64,
    /// Optimiser steps between checkpoints; one is written after every epoch besides. 0 writes
    /// those of the epochs alone.
    pub checkpoint_every_steps: u64,
    /// Keeps only the inputs of layers for the backward pass and computes the rest again, layer by
    /// layer: a third more work, and the memory of one layer in place of all.
    // As below: trainings without it keep their fingerprints.
    #[serde(skip_serializing_if = "is_default")]
    pub checkpoint_layers: bool,
    /// What the model's matrices are multiplied in, and their gradients given. Trained weights,
    /// sums of gradients and the optimiser's moments are `f32` either way: with
    /// [`Precision::Bf16`] every step works on a rounded copy of the matrices; beside adapters, which
    /// stay `f32`, there are no matrices but the rounded ones, and the merged model is written so.
    /// What a micro-batch adds up within one matrix (a row of the embedding, for every place where its
    /// token stands) is rounded too.
    // As above.
    #[serde(skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// Threads that work on micro-batches; 0 takes one per core. Does not change any result.
    pub n_workers: usize,
    /// Which examples come first.
    // Trainings from before there was a choice keep their fingerprints.
    #[serde(skip_serializing_if = "is_default")]
    pub order: Order,
    /// Trains low-rank adapters beside the frozen weights, where given; all weights otherwise.
    // As above: full trainings keep their fingerprints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// Shuffles the examples.
    pub seed: u64,
}

/// In which order the examples of an epoch are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Shuffled, in each epoch differently.
    #[default]
    Shuffled,
    /// As they were given: a curriculum.
    AsGiven,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            n_epochs: 3,
            batch_size: 32,
            micro_batch_tokens: 1024,
            learning_rate: 1e-3,
            schedule: Schedule::Cosine,
            warmup_fraction: 0.03,
            adamw: AdamWConfig::default(),
            groups: Vec::new(),
            max_gradient_norm: 1.0,
            checkpoint_every_steps: 200,
            checkpoint_layers: false,
            precision: Precision::F32,
            n_workers: 0,
            order: Order::Shuffled,
            lora: None,
            seed: 0,
        }
    }
}

/// AdamW's constants. Weight decay applies to matrices and not to normalisation gains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the gradient's running mean.
    pub beta_1: f64,
    /// Decay of the squared gradient's running mean. 0.95, as LLaMA was trained with: fine-tuning
    /// takes few steps, and 0.999 would remember its first ones to the end.
    pub beta_2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// Decoupled weight decay, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.95, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

impl TrainConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the first field that cannot be.
    pub fn validate(&self) -> Result<(), TrainError> {
        let beta = 0.0..1.0;
        let checks = [
            ("n_epochs", self.n_epochs > 0, "at least 1"),
            ("batch_size", self.batch_size > 0, "at least 1"),
            ("micro_batch_tokens", self.micro_batch_tokens > 0, "at least 1"),
            ("learning_rate", is_positive(self.learning_rate), "a positive number"),
            ("warmup_fraction", (0.0..=1.0).contains(&self.warmup_fraction), "within 0 and 1"),
            ("max_gradient_norm", is_positive(self.max_gradient_norm), "a positive number"),
            ("adamw.beta_1", beta.contains(&self.adamw.beta_1), "at least 0 and below 1"),
            ("adamw.beta_2", beta.contains(&self.adamw.beta_2), "at least 0 and below 1"),
            ("adamw.epsilon", is_positive(self.adamw.epsilon), "a positive number"),
            (
                "adamw.weight_decay",
                self.adamw.weight_decay >= 0.0 && self.adamw.weight_decay.is_finite(),
                "0 or a positive number",
            ),
        ];
        if let Some((field, _, expected)) = checks.into_iter().find(|(_, holds, _)| !holds) {
            return Err(TrainError::Config { field, expected });
        }
        self.groups.iter().try_for_each(ParameterGroup::validate)?;
        check_kinds(&self.groups, self.lora.is_some())?;
        let lora = self.lora.as_ref().map_or(Ok(()), LoraConfig::validate);
        lora.map_err(|source| TrainError::Lora { source: Box::new(source) })
    }

    /// Optimiser steps for this many examples.
    pub fn n_steps(&self, n_examples: usize) -> u64 {
        (n_examples.div_ceil(self.batch_size.max(1)) * self.n_epochs) as u64
    }

    /// What the frozen matrices beside adapters are kept in; trained ones are kept in `f32`.
    pub(crate) fn kept_precision(&self) -> Precision {
        if self.lora.is_some() { self.precision } else { Precision::F32 }
    }

    /// Threads to work with.
    pub(crate) fn resolved_workers(&self) -> usize {
        match self.n_workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}

fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_field_is_named() {
        TrainConfig::default().validate().unwrap();
        let config = TrainConfig { learning_rate: f64::NAN, ..TrainConfig::default() };
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains("learning_rate"), "{message}");
        let adamw = AdamWConfig { beta_2: 1.0, ..AdamWConfig::default() };
        let config = TrainConfig { adamw, ..TrainConfig::default() };
        assert!(config.validate().unwrap_err().to_string().contains("adamw.beta_2"));
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_str::<TrainConfig>(r#"{"batch_sise": 3}"#).is_err());
        let config: TrainConfig = serde_json::from_str(r#"{"schedule": "linear"}"#).unwrap();
        assert_eq!(config.schedule, Schedule::Linear);
    }

    #[test]
    fn steps_count_the_short_batch_of_every_epoch() {
        let config = TrainConfig { n_epochs: 2, batch_size: 4, ..TrainConfig::default() };
        assert_eq!(config.n_steps(9), 6);
    }
}
