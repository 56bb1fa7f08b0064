//! Loss and gradients of one micro-batch.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use eef_llama::{Llama, Packed, cross_entropy};

use crate::gradients::{FlatGradients, n_parameters};
use crate::weights::unflatten;
use crate::{TrainError, TrainExample};

/// What a micro-batch adds to its optimiser step.
pub(crate) struct Part {
    /// Sum of token losses (nats), not yet divided.
    pub loss_sum: f64,
    /// Gradients of the sum times the scale that was asked for.
    pub gradients: FlatGradients,
}

/// Runs examples forward and backward.
///
/// The gradients are those of `scale` × the sum of token losses: with `scale` = 1 ÷ the trained
/// tokens of the whole optimiser step, the parts of a step add up to the gradients of one mean
/// over its trained tokens, however it is cut. The output layer sees only the rows that predict a
/// trained token.
pub(crate) fn forward_backward(
    model: &Llama,
    examples: &[&TrainExample],
    scale: f64,
    n_parameters: usize,
) -> Result<Part, TrainError> {
    // Fresh leaves of the autodiff graph, sharing the weights: graphs that share a leaf are one
    // graph with one lock, and threads would wait for each other.
    let model = model.clone().train();
    let batch = Packed::new(examples.iter().map(|example| example.token_ids())).map_err(failed)?;
    let (mut rows, mut targets, mut start) = (Vec::new(), Vec::new(), 0);
    for example in examples {
        for (position, token) in example.targets() {
            rows.push((start + position) as i32);
            targets.push(token);
        }
        start += example.n_tokens();
    }

    let hidden = model.forward_hidden(&batch).map_err(failed)?; // [n_tokens, hidden]
    let rows = TensorData::new(rows, [targets.len()]);
    let rows = Tensor::<1, Int>::from_data(rows, &hidden.device());
    let logits = model.logits(hidden.select(0, rows)); // [n_trained, vocabulary]
    let losses = cross_entropy(logits, &targets); // [n_trained]
    let sum = losses.sum();
    let gradients = (sum.clone() * scale).backward();
    let loss_sum = sum.into_data().iter::<f64>().next().unwrap_or(f64::NAN);
    let gradients = FlatGradients::from_backward(gradients, &model, n_parameters)?;
    Ok(Part { loss_sum, gradients })
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
    let part = forward_backward(model, &examples, scale, n_parameters(model))?;
    let gradients = unflatten(model.valid(), &part.gradients.0);
    Ok((part.loss_sum * scale, gradients))
}

fn failed(error: eef_llama::LlamaError) -> TrainError {
    TrainError::Workers { reason: error.to_string() }
}
