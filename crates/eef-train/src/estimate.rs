//! What a training needs in memory, told before it begins.

use eef_llama::{LlamaConfig, Precision};
use serde::Serialize;

use crate::forward::{longest_pair_at_once, rows_at_once};
use crate::{PreferencePair, TrainConfig, TrainExample};

/// Bytes of a number: moments, sums and most activations.
const F32: u64 = 4;

/// Bytes of a number of a matrix.
fn bytes(precision: Precision) -> u64 {
    match precision {
        Precision::F32 => F32,
        Precision::Bf16 => 2,
    }
}

/// Bytes at the peak of a training, by what they are for.
///
/// An estimate. Beside it stood, for one step of SmolLM2 135M on two threads (resident memory, in which
/// the model's mapped file counts 0.54 GB): full 7.15 GB estimated, 6.55 measured; its layers computed
/// again 4.66, 4.63; adapters 3.46, 3.81; both 0.97, 1.61.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// Numbers in the model's weights.
    pub n_parameters: u64,
    /// Those of them, or of adapters beside them, that are trained.
    pub n_trained_parameters: u64,
    /// The weights, adapters included, and the rounded copy that a step works on, where it does.
    pub weights: u64,
    /// Gradients: those of the step, and of each micro-batch under way twice, as Burn's tensors and in
    /// one row.
    pub gradients: u64,
    /// Both moments of AdamW.
    pub optimiser: u64,
    /// What the backward pass keeps of the forward pass.
    pub activations: u64,
    /// Logits and their gradients.
    pub logits: u64,
    /// A copy of trained weights and moments while a checkpoint is written; not at the same time as
    /// gradients, activations and logits.
    pub checkpoint: u64,
}

impl MemoryEstimate {
    /// Of a training on examples ([`Trainer::run`](crate::Trainer::run)).
    pub fn of_examples(
        model: &LlamaConfig,
        config: &TrainConfig,
        examples: &[TrainExample],
    ) -> Self {
        let sizes = examples.iter().map(|example| (example.n_tokens(), example.n_trained()));
        Self::of(model, config, sizes)
    }

    /// Of a training on pairs ([`Trainer::run_preferences`](crate::Trainer::run_preferences)); one that
    /// is longer than two micro-batches goes through the model sequence by sequence.
    pub fn of_pairs(model: &LlamaConfig, config: &TrainConfig, pairs: &[PreferencePair]) -> Self {
        let limit = longest_pair_at_once(config.micro_batch_tokens);
        let sizes = pairs.iter().flat_map(|pair| {
            let sizes = pair.examples().map(|one| (one.n_tokens(), one.n_trained()));
            let [chosen, rejected] = sizes;
            let both = (chosen.0 + rejected.0, chosen.1 + rejected.1);
            if both.0 > limit { sizes.to_vec() } else { vec![both] }
        });
        Self::of(model, config, sizes)
    }

    /// From tokens, and trained ones, of what stays together.
    fn of(
        model: &LlamaConfig,
        config: &TrainConfig,
        sizes: impl Iterator<Item = (usize, usize)>,
    ) -> Self {
        let n_parameters = model.n_parameters() as u64;
        let n_adapters = config.lora.as_ref().map(|lora| lora.n_parameters(model) as u64);
        let n_trained = n_adapters.unwrap_or(n_parameters);
        let n_workers = config.resolved_workers() as u64;

        let (mut n_tokens, mut n_targets, mut longest) = (0, 0, 0);
        for (of_unit, trained) in sizes {
            n_tokens += of_unit;
            n_targets += trained;
            longest = longest.max(of_unit);
        }
        let of_micro_batch = n_tokens.min(config.micro_batch_tokens.max(longest)) as u64;
        let share = n_targets as f64 / n_tokens.max(1) as f64;
        let n_rows =
            ((share * of_micro_batch as f64).ceil() as u64).min(rows_at_once(model) as u64);

        // Adapters' own are f32.
        let bytes_of_gradient = match n_adapters {
            Some(_) => F32,
            None => bytes(config.precision),
        };
        let layers = model.num_hidden_layers as u64;
        let of_layer = of_micro_batch * numbers_per_token(model);
        let of_inputs = of_micro_batch * model.hidden_size as u64;
        let of_layers = if config.checkpoint_layers {
            // The inputs of all, and one at work.
            layers * of_inputs + of_layer
        } else {
            layers * of_layer
        };
        Self {
            n_parameters,
            n_trained_parameters: n_trained,
            weights: match (n_adapters, config.precision) {
                (Some(n_adapters), precision) => bytes(precision) * n_parameters + F32 * n_adapters,
                (None, Precision::F32) => F32 * n_parameters,
                (None, Precision::Bf16) => (F32 + bytes(Precision::Bf16)) * n_parameters,
            },
            gradients: n_trained * (F32 + n_workers * (F32 + bytes_of_gradient)),
            optimiser: F32 * 2 * n_trained,
            activations: F32 * n_workers * (of_layers + 2 * of_inputs),
            logits: F32 * n_workers * 2 * n_rows * model.vocab_size as u64,
            checkpoint: F32 * 3 * n_trained,
        }
    }

    /// Bytes at the peak.
    pub fn total(&self) -> u64 {
        let in_step = self.gradients + self.activations + self.logits;
        self.weights + self.optimiser + in_step.max(self.checkpoint)
    }
}

/// Numbers that one layer keeps of each token for the backward pass: its input, both normalised
/// inputs, what stands between attention and feed-forward; queries, keys and values, the heads'
/// outputs; gate and up, and their product.
fn numbers_per_token(model: &LlamaConfig) -> u64 {
    let queries = model.num_attention_heads * model.head_dim();
    let keys = model.n_key_value_heads() * model.head_dim();
    let numbers = 4 * model.hidden_size + 2 * queries + 2 * keys + 3 * model.intermediate_size;
    numbers as u64
}

#[cfg(test)]
mod tests {
    use eef_llama::LoraConfig;

    use super::*;

    fn example(n_tokens: usize) -> TrainExample {
        let trained = (0..n_tokens).map(|place| place % 5 == 4).collect();
        TrainExample::new(vec![1; n_tokens], trained).unwrap()
    }

    #[test]
    fn the_parts_of_a_tiny_training() {
        let model = LlamaConfig::tiny(100);
        let config = TrainConfig { n_workers: 2, micro_batch_tokens: 50, ..TrainConfig::default() };
        let examples = [example(40), example(30)];
        let found = MemoryEstimate::of_examples(&model, &config, &examples);
        let n = model.n_parameters() as u64;
        assert_eq!((found.n_parameters, found.n_trained_parameters), (n, n));
        assert_eq!((found.weights, found.optimiser), (4 * n, 8 * n));
        assert_eq!(found.gradients, 4 * 5 * n);
        // Two workers, ten trained of fifty tokens each.
        assert_eq!(found.logits, 4 * 2 * 2 * 10 * 100);
        assert!(found.total() > found.weights + found.optimiser + found.gradients);
    }

    #[test]
    fn a_pair_goes_through_at_once_unless_it_is_long() {
        let (model, config) = (LlamaConfig::tiny(100), TrainConfig::default());
        let pair = [PreferencePair { chosen: example(60), rejected: example(40) }];
        for (micro_batch_tokens, alike) in [(100, 100), (50, 100), (49, 60)] {
            let config = TrainConfig { micro_batch_tokens, ..config.clone() };
            let of_pair = MemoryEstimate::of_pairs(&model, &config, &pair);
            let expected = MemoryEstimate::of_examples(&model, &config, &[example(alike)]);
            assert_eq!(of_pair.activations, expected.activations, "{micro_batch_tokens}");
        }
    }

    #[test]
    fn adapters_and_checkpointed_layers_take_less() {
        let model = LlamaConfig::preset("llama3-8b-instruct").unwrap();
        let full = TrainConfig { n_workers: 1, micro_batch_tokens: 2048, ..TrainConfig::default() };
        let examples = [example(2048)];
        let of = |config: &TrainConfig| MemoryEstimate::of_examples(&model, config, &examples);
        let lora = TrainConfig { lora: Some(LoraConfig::default()), ..full.clone() };
        let light = TrainConfig { checkpoint_layers: true, ..lora.clone() };
        assert!(of(&lora).total() < of(&full).total() / 3);
        assert!(of(&light).activations < of(&lora).activations / 8);
        let rounded = TrainConfig { precision: Precision::Bf16, ..light.clone() };
        let saved = 2 * model.n_parameters() as u64;
        assert_eq!(of(&rounded).weights + saved, of(&light).weights);
        // Adapters of an 8B model, layers computed again, sequences of 2,048: one card of 80 GB.
        assert!(of(&light).total() < 45_000_000_000, "{:?}", of(&light));
        assert!(of(&full).total() > 150_000_000_000);
    }
}
