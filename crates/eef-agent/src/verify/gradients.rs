//! The loss of a sequence, and what training would change.

use std::collections::BTreeMap;
use std::path::Path;

use eef_llama::Llama;
use eef_train::{TrainExample, loss_and_gradients};
use serde::Deserialize;

use super::{Tally, read};
use crate::AgentError;

/// How far the loss may be off, in nats.
const MOST_LOSS: f64 = 1e-4;
/// How far a norm may be off, relative to itself.
const MOST_NORM: f64 = 1e-3;

#[derive(Deserialize)]
struct Recording {
    ids: Vec<u32>,
    /// The mean over all tokens after the first.
    loss: f64,
    grad_norm_total: f64,
    /// By parameter.
    grad_norms: BTreeMap<String, f64>,
}

pub(super) fn compare(llama: &Llama, path: &Path, tally: &mut Tally) -> Result<(), AgentError> {
    let recording: Recording = read(path)?;
    let example = TrainExample::fully_trained(recording.ids)?;
    let (loss, gradients) = loss_and_gradients(llama, &[example])?;
    tally.case("loss".to_owned());
    let difference = (loss - recording.loss).abs();
    tally.near("loss", [loss, recording.loss], difference, MOST_LOSS);

    let mut found: BTreeMap<String, f64> = BTreeMap::new();
    for tensor in gradients.tensors() {
        found.insert(tensor.name().to_owned(), square_sum(tensor.values()));
    }
    let total = found.values().sum::<f64>().sqrt();
    tally.case("norm of all gradients".to_owned());
    relative(tally, [total, recording.grad_norm_total]);
    for name in found.keys().filter(|name| !recording.grad_norms.contains_key(*name)) {
        tally.case(name.clone());
        tally.same("norm of a parameter", &Some(name), &None);
    }
    for (name, expected) in recording.grad_norms {
        tally.case(name.clone());
        match found.get(&name) {
            Some(square) => relative(tally, [square.sqrt(), expected]),
            None => tally.same("parameter", &None, &Some(name)),
        }
    }
    Ok(())
}

fn relative(tally: &mut Tally, [found, expected]: [f64; 2]) {
    let scale = expected.abs().max(f64::MIN_POSITIVE);
    tally.near("norm", [found, expected], (found - expected).abs() / scale, MOST_NORM);
}

fn square_sum(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum()
}
