//! Loss and gradients of one micro-batch.
//!
//! A micro-batch is one graph where that is cheap. It is run in stages, each with a graph of its own,
//! where memory counts: the output layer in chunks of rows, and, where
//! [`TrainConfig::checkpoint_layers`](crate::TrainConfig::checkpoint_layers) says so, the layers one
//! by one, from the inputs that the forward pass left behind. The gradient of a stage's output then
//! stands for all that follows it: the gradients of `sum(output × gradient)` are those of the stage.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use eef_llama::{Llama, LlamaConfig, Packed, cross_entropy};

use crate::gradients::{FlatGradients, n_parameters};
use crate::weights::unflatten;
use crate::{TrainError, TrainExample};

/// Numbers of the output layer's result that exist at once: 64 MiB, and as much for its gradient.
/// A vocabulary of 49,152 makes 341 rows of it.
const LOGITS_AT_ONCE: usize = 1 << 24;

/// What a micro-batch adds to its optimiser step.
pub(crate) struct Part {
    /// Loss of each trained token (nats), example by example.
    pub losses: Vec<f32>,
    /// Gradients of the weighted sum of these losses.
    pub gradients: FlatGradients,
}

impl Part {
    /// Sum of token losses (nats).
    pub fn loss_sum(&self) -> f64 {
        self.losses.iter().map(|&loss| f64::from(loss)).sum()
    }
}

/// How much each token's loss counts in the gradients.
pub(crate) enum Weighing<'a> {
    /// All alike.
    Constant(f64),
    /// As what all of them together say: from the losses to their weights.
    ByLosses(Weigh<'a>),
}

/// From the losses of all trained tokens to their weights.
type Weigh<'a> = Box<dyn FnOnce(&[f32]) -> Vec<f32> + 'a>;

/// What decides how a micro-batch is run, besides its weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Numbers in the model's trainable weights.
    pub n_parameters: usize,
    /// Keeps the inputs of layers alone, and computes the rest again.
    pub checkpoint_layers: bool,
    /// At most so many rows of logits at once.
    pub n_rows_at_once: usize,
    /// A pair with more tokens goes through sequence by sequence.
    pub n_tokens_at_once: usize,
}

/// A pair with more tokens than this goes through sequence by sequence: twice a micro-batch, since that
/// costs one more forward pass.
pub(crate) fn longest_pair_at_once(micro_batch_tokens: usize) -> usize {
    micro_batch_tokens.saturating_mul(2)
}

impl Plan {
    pub fn new(model: &Llama, n_parameters: usize, checkpoint_layers: bool) -> Self {
        let n_rows_at_once = rows_at_once(model.config());
        Self { n_parameters, checkpoint_layers, n_rows_at_once, n_tokens_at_once: usize::MAX }
    }
}

/// Rows of the output layer's result that exist at once.
pub(crate) fn rows_at_once(model: &LlamaConfig) -> usize {
    (LOGITS_AT_ONCE / model.vocab_size.max(1)).max(1)
}

/// Sequences in one row, and which of its positions predict a trained token.
struct Targets {
    packed: Packed,
    rows: Vec<i32>,
    tokens: Vec<u32>,
}

impl Targets {
    fn of(examples: &[&TrainExample]) -> Result<Self, TrainError> {
        let ids = examples.iter().map(|example| example.token_ids());
        let packed = Packed::new(ids).map_err(failed)?;
        let (mut rows, mut tokens, mut start) = (Vec::new(), Vec::new(), 0);
        for example in examples {
            for (position, token) in example.targets() {
                rows.push((start + position) as i32);
                tokens.push(token);
            }
            start += example.n_tokens();
        }
        Ok(Self { packed, rows, tokens })
    }

    /// The rows that the output layer reads: `[n_tokens, width]` to `[n_targets, width]`.
    fn select(&self, hidden: Tensor<2>) -> Tensor<2> {
        let rows = TensorData::new(self.rows.clone(), [self.rows.len()]);
        let rows = Tensor::<1, Int>::from_data(rows, &hidden.device());
        hidden.select(0, rows)
    }

    /// Where each chunk begins and how long it is.
    fn chunks(&self, limit: usize) -> impl Iterator<Item = (usize, usize)> {
        let n = self.tokens.len();
        (0..n).step_by(limit).map(move |start| (start, limit.min(n - start)))
    }
}

/// Runs examples forward and backward.
///
/// The gradients are those of the weighted sum of token losses: with each weight 1 ÷ the trained
/// tokens of the whole optimiser step, the parts of a step add up to the gradients of one mean
/// over its trained tokens, however it is cut. The output layer sees only the rows that predict a
/// trained token.
pub(crate) fn forward_backward(
    model: &Llama,
    examples: &[&TrainExample],
    weighing: Weighing<'_>,
    plan: Plan,
) -> Result<Part, TrainError> {
    let mut gradients = FlatGradients::zeros(plan.n_parameters);
    let losses = add_gradients(model, examples, weighing, plan, &mut gradients)?;
    Ok(Part { losses, gradients })
}

/// The same, where the gradients are added to others; gives the losses.
pub(crate) fn add_gradients(
    model: &Llama,
    examples: &[&TrainExample],
    weighing: Weighing<'_>,
    plan: Plan,
    gradients: &mut FlatGradients,
) -> Result<Vec<f32>, TrainError> {
    let targets = Targets::of(examples)?;
    if plan.checkpoint_layers || targets.tokens.len() > plan.n_rows_at_once {
        return staged(model, &targets, weighing, plan, gradients);
    }
    // Fresh leaves of the autodiff graph, sharing the weights: graphs that share a leaf are one
    // graph with one lock, and threads would wait for each other.
    let model = model.clone().train();
    let hidden = model.forward_hidden(&targets.packed).map_err(failed)?; // [n_tokens, hidden]
    let logits = model.logits(targets.select(hidden)); // [n_trained, vocabulary]
    let token_losses = cross_entropy(logits, &targets.tokens); // [n_trained]
    let losses = numbers(token_losses.clone())?;
    let weights = weighing.weights(&losses);
    // Pairs that are told apart pull no more.
    if weights.iter().any(|&weight| weight != 0.0) {
        gradients.accumulate(weighted(token_losses, weights).backward(), &model)?;
    }
    Ok(losses)
}

/// The same in stages.
fn staged(
    model: &Llama,
    targets: &Targets,
    weighing: Weighing<'_>,
    plan: Plan,
    gradients: &mut FlatGradients,
) -> Result<Vec<f32>, TrainError> {
    let tracked = model.clone().train();
    let batch = &targets.packed;

    // The inputs of the layers without a graph, or all layers in one.
    let mut inputs = Vec::new();
    let (leaf, read) = if plan.checkpoint_layers {
        let mut x = model.embed_packed(batch).map_err(failed)?;
        for layer in 0..model.n_layers() {
            inputs.push(x.clone());
            x = model.forward_layer(layer, x, batch);
        }
        let leaf = x.autodiff().require_grad();
        let read = targets.select(tracked.normalise(leaf.clone()));
        (Some(leaf), read)
    } else {
        (None, targets.select(tracked.forward_hidden(batch).map_err(failed)?))
    };

    let (losses, gradient) =
        output_layer(model, &tracked, read.clone().inner(), targets, weighing, plan, gradients)?;
    let mut found = (read * gradient.autodiff()).sum().backward();
    let Some(leaf) = leaf else {
        gradients.accumulate(found, &tracked)?;
        return Ok(losses);
    };
    let missing =
        || TrainError::Tensor { name: "gradient", reason: "a layer's input has none".to_owned() };
    let mut gradient = leaf.grad_remove(&mut found).ok_or_else(missing)?;
    gradients.accumulate(found, &tracked)?;
    for layer in (0..model.n_layers()).rev() {
        let Some(input) = inputs.pop() else { return Err(missing()) };
        let leaf = input.autodiff().require_grad();
        let output = tracked.forward_layer(layer, leaf.clone(), batch);
        let mut found = (output * gradient.autodiff()).sum().backward();
        gradient = leaf.grad_remove(&mut found).ok_or_else(missing)?;
        gradients.accumulate(found, &tracked)?;
    }
    let embedded = tracked.embed_packed(batch).map_err(failed)?;
    // Beside adapters the embedding is frozen, and nothing leads back to a weight.
    if embedded.is_tracked() {
        let found = (embedded * gradient.autodiff()).sum().backward();
        gradients.accumulate(found, &tracked)?;
    }
    Ok(losses)
}

/// The losses, and the gradient of what the output layer reads, chunk by chunk; the output layer's own
/// go where all go.
fn output_layer(
    model: &Llama,
    tracked: &Llama,
    read: Tensor<2>,
    targets: &Targets,
    weighing: Weighing<'_>,
    plan: Plan,
    gradients: &mut FlatGradients,
) -> Result<(Vec<f32>, Tensor<2>), TrainError> {
    // Weights that hang on all losses need these first.
    let weights = match weighing {
        Weighing::Constant(_) => weighing.weights(&vec![0.0; targets.tokens.len()]),
        Weighing::ByLosses(_) => {
            weighing.weights(&losses_of_rows(model, &read, targets, plan.n_rows_at_once)?)
        }
    };
    let (mut losses, mut of_rows) = (Vec::with_capacity(weights.len()), Vec::new());
    for (start, n) in targets.chunks(plan.n_rows_at_once) {
        let leaf = read.clone().narrow(0, start, n).autodiff().require_grad();
        let logits = tracked.logits(leaf.clone());
        let token_losses = cross_entropy(logits, &targets.tokens[start..start + n]);
        losses.extend(numbers(token_losses.clone())?);
        let mut found = weighted(token_losses, weights[start..start + n].to_vec()).backward();
        of_rows.push(leaf.grad_remove(&mut found).ok_or_else(|| TrainError::Tensor {
            name: "gradient",
            reason: "the output layer's input has none".to_owned(),
        })?);
        gradients.accumulate(found, tracked)?;
    }
    Ok((losses, Tensor::cat(of_rows, 0)))
}

/// The losses alone (nats), `[n_targets]`.
fn losses_of_rows(
    model: &Llama,
    read: &Tensor<2>,
    targets: &Targets,
    n_rows_at_once: usize,
) -> Result<Vec<f32>, TrainError> {
    let mut losses = Vec::with_capacity(targets.tokens.len());
    for (start, n) in targets.chunks(n_rows_at_once) {
        let logits = model.logits(read.clone().narrow(0, start, n));
        losses.extend(numbers(cross_entropy(logits, &targets.tokens[start..start + n]))?);
    }
    Ok(losses)
}

/// Log-likelihood (nats) of the trained tokens of each example, summed, `[n_examples]`.
///
/// What preference training compares, and what says how close a trajectory is to a policy.
///
/// # Errors
/// [`TrainError::Workers`] where a token is beyond the vocabulary or an example longer than the
/// model can place.
pub fn log_likelihoods(model: &Llama, examples: &[&TrainExample]) -> Result<Vec<f64>, TrainError> {
    if examples.is_empty() {
        return Ok(Vec::new());
    }
    let losses = token_losses(model, examples)?;
    Ok(sums(&losses, examples).map(|sum| -sum).collect())
}

/// Loss of each trained token (nats), example by example, and no gradients.
pub(crate) fn token_losses(
    model: &Llama,
    examples: &[&TrainExample],
) -> Result<Vec<f32>, TrainError> {
    let targets = Targets::of(examples)?;
    let read = targets.select(model.forward_hidden(&targets.packed).map_err(failed)?);
    losses_of_rows(model, &read, &targets, rows_at_once(model.config()))
}

/// The sum of each example's losses.
pub(crate) fn sums<'a>(
    losses: &'a [f32],
    examples: &'a [&TrainExample],
) -> impl Iterator<Item = f64> + 'a {
    let mut start = 0;
    examples.iter().map(move |example| {
        let own = &losses[start..start + example.n_trained()];
        start += own.len();
        own.iter().map(|&loss| f64::from(loss)).sum()
    })
}

impl Weighing<'_> {
    /// The weight of each loss.
    pub fn weights(self, losses: &[f32]) -> Vec<f32> {
        match self {
            Self::Constant(weight) => vec![weight as f32; losses.len()],
            Self::ByLosses(weigh) => weigh(losses),
        }
    }
}

/// `sum(losses × weights)`
fn weighted(losses: Tensor<1>, weights: Vec<f32>) -> Tensor<1> {
    let n = weights.len();
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [n]), &losses.device());
    (losses * weights).sum()
}

fn numbers(losses: Tensor<1>) -> Result<Vec<f32>, TrainError> {
    losses.into_data().try_into_vec::<f32>().map_err(|error| TrainError::Tensor {
        name: "losses",
        reason: format!("expected f32: {error:?}"),
    })
}

/// The mean loss of all trained tokens of some examples (nats), and its gradients in the shape of
/// the model: each trainable weight of the second model is the gradient of the first one's; frozen
/// ones are as they were.
///
/// This is what one optimiser step computes; for comparisons with other programs, and whoever wants
/// to write a loop of their own.
///
/// # Errors
/// [`TrainError::NoExamples`], and where a token is beyond the vocabulary or an example longer than
/// the model can place.
pub fn loss_and_gradients(
    model: &Llama,
    examples: &[TrainExample],
) -> Result<(f64, Llama), TrainError> {
    let n_trained: usize = examples.iter().map(TrainExample::n_trained).sum();
    if n_trained == 0 {
        return Err(TrainError::NoExamples);
    }
    let examples: Vec<&TrainExample> = examples.iter().collect();
    let scale = 1.0 / n_trained as f64;
    let plan = Plan::new(model, n_parameters(model), false);
    let part = forward_backward(model, &examples, Weighing::Constant(scale), plan)?;
    let gradients = unflatten(model.valid(), &part.gradients.0);
    Ok((part.loss_sum() * scale, gradients))
}

fn failed(error: eef_llama::LlamaError) -> TrainError {
    TrainError::Workers { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use eef_core::Seed;
    use eef_llama::{LoraConfig, device};

    use super::*;

    const VOCABULARY: usize = 24;

    fn model(tied: bool) -> Llama {
        let shape = LlamaConfig {
            hidden_size: 16,
            intermediate_size: 24,
            num_hidden_layers: 3,
            num_attention_heads: 2,
            num_key_value_heads: Some(1),
            tie_word_embeddings: tied,
            ..LlamaConfig::tiny(VOCABULARY)
        };
        Llama::init(&shape, 4, &device("cpu").unwrap()).unwrap()
    }

    fn examples() -> Vec<TrainExample> {
        let mut rng = Seed::new(3).rng();
        let mut one = |n: usize| {
            let tokens = (0..n).map(|_| rng.below(VOCABULARY) as u32).collect();
            let mut trained: Vec<bool> = (0..n).map(|_| rng.chance(0.4)).collect();
            trained[n - 1] = true;
            TrainExample::new(tokens, trained).unwrap()
        };
        [9, 14, 5, 11].map(&mut one).to_vec()
    }

    /// Weights that hang on the losses: the heavier, the worse a token is predicted.
    fn by_losses<'a>() -> Weighing<'a> {
        Weighing::ByLosses(Box::new(|losses| losses.iter().map(|loss| 0.1 * loss).collect()))
    }

    fn assert_same(one: &Part, other: &Part, what: &str) {
        assert!(one.losses.len() > 10 && one.losses.len() == other.losses.len(), "{what}");
        for (one, other) in one.losses.iter().zip(&other.losses) {
            assert!((one - other).abs() < 1e-6, "{what}: loss {one} {other}");
        }
        let norm = one.gradients.norm();
        assert!(norm > 1e-3, "{what}: nothing to compare");
        let mut difference = one.gradients.clone();
        for (value, other) in difference.0.iter_mut().zip(&other.gradients.0) {
            *value -= other;
        }
        assert!(difference.norm() < 1e-6 * norm, "{what}: {} of {norm}", difference.norm());
    }

    #[test]
    fn stages_give_the_gradients_of_one_graph() {
        let examples = examples();
        let examples: Vec<&TrainExample> = examples.iter().collect();
        let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
        let models = [
            ("tied", model(true)),
            ("untied", model(false)),
            ("adapters", model(true).with_lora(&lora).unwrap()),
        ];
        for (name, model) in models {
            for weigh in [|| Weighing::Constant(0.05), by_losses] {
                let whole = Plan {
                    n_rows_at_once: 1_000,
                    ..Plan::new(&model, n_parameters(&model), false)
                };
                let expected = forward_backward(&model, &examples, weigh(), whole).unwrap();
                for (checkpoint_layers, n_rows_at_once) in [(false, 3), (true, 1_000), (true, 4)] {
                    let plan = Plan { checkpoint_layers, n_rows_at_once, ..whole };
                    let found = forward_backward(&model, &examples, weigh(), plan).unwrap();
                    assert_same(&expected, &found, &format!("{name}, {plan:?}"));
                }
            }
        }
    }

    #[test]
    fn log_likelihoods_are_the_negative_sums_of_losses() {
        let (model, examples) = (model(true), examples());
        let all: Vec<&TrainExample> = examples.iter().collect();
        let found = log_likelihoods(&model, &all).unwrap();
        for (example, found) in examples.iter().zip(found) {
            let (mean, _) = loss_and_gradients(&model, std::slice::from_ref(example)).unwrap();
            let expected = -mean * example.n_trained() as f64;
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        assert!(log_likelihoods(&model, &[]).unwrap().is_empty());
    }
}
