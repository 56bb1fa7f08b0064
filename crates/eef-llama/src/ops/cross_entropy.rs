use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use crate::ops::kernel::{Kernel, apply, tensor, values};
use crate::ops::simd::{exp, maximum, sum_of_exponentials, vectorised};

/// The negative log-likelihood of each row's target token.
///
/// # Shapes
///
/// - `logits`: `[n, n_tokens]`, `targets`: `n` token ids; output: `[n]`
///
/// # Panics
///
/// Where the number of targets is not the number of rows, or a target is no column.
pub fn cross_entropy(logits: Tensor<2>, targets: &[u32]) -> Tensor<1> {
    let [n, n_tokens] = logits.dims();
    assert_eq!(n, targets.len(), "one target for each row of logits");
    assert!(targets.iter().all(|t| (*t as usize) < n_tokens), "targets must be columns");
    let kernel = CrossEntropy { targets: targets.into() };
    apply(kernel, [logits.into_dispatch()])
        .unwrap_or_else(|[logits]| plain(Tensor::from_dispatch(logits), targets))
}

fn plain(logits: Tensor<2>, targets: &[u32]) -> Tensor<1> {
    let n = targets.len();
    let ids: Vec<i32> = targets.iter().map(|t| *t as i32).collect();
    let index = Tensor::<2, Int>::from_data(TensorData::new(ids, [n, 1]), &logits.device());
    log_softmax(logits, 1).gather(1, index).neg().reshape([n])
}

#[derive(Clone, Debug)]
struct CrossEntropy {
    targets: Arc<[u32]>,
}

impl Kernel<1> for CrossEntropy {
    /// The logits, and the logarithm of each row's sum of exponentials.
    type Saved = (FlexTensor, Vec<f32>);

    fn forward(&self, [logits]: [FlexTensor; 1]) -> (FlexTensor, Self::Saved) {
        let n = self.targets.len();
        let (mut losses, mut normalisers) = (vec![0.0; n], vec![0.0; n]);
        likelihoods(values(&logits), &self.targets, &mut losses, &mut normalisers);
        (tensor(losses, &[n]), (logits, normalisers))
    }

    fn backward(&self, saved: Self::Saved, gradient: FlexTensor) -> [FlexTensor; 1] {
        let (mut logits, normalisers) = saved;
        let in_place = logits.storage_mut::<f32>();
        likelihoods_backward(values(&gradient), &self.targets, &normalisers, in_place);
        [logits]
    }
}

vectorised! {
    fn likelihoods(
        logits: &[f32], targets: &[u32], losses: &mut [f32], normalisers: &mut [f32],
    ) {
        if targets.is_empty() {
            return;
        }
        let width = logits.len() / targets.len();
        let rows = logits.chunks_exact(width).zip(targets);
        for ((row, target), (loss, normaliser)) in rows.zip(losses.iter_mut().zip(normalisers)) {
            let largest = maximum(row);
            *normaliser = largest + sum_of_exponentials(row, largest).ln();
            *loss = *normaliser - row[*target as usize];
        }
    }

    fn likelihoods_backward(
        gradient: &[f32], targets: &[u32], normalisers: &[f32], logits: &mut [f32],
    ) {
        if targets.is_empty() {
            return;
        }
        let width = logits.len() / targets.len();
        let rows = logits.chunks_exact_mut(width).zip(targets);
        for ((row, target), (gradient, normaliser)) in rows.zip(gradient.iter().zip(normalisers)) {
            for logit in row.iter_mut() {
                *logit = gradient * exp(*logit - normaliser);
            }
            row[*target as usize] -= gradient;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_same_with_gradients, random};

    #[test]
    fn the_kernel_is_the_composition() {
        for (n, width) in [(1, 2), (3, 5), (4, 16), (7, 48)] {
            let targets: Vec<u32> = (0..n as u32).map(|i| i * 3 % width as u32).collect();
            assert_same_with_gradients(
                [random(1, &[n, width])],
                |[x]| cross_entropy(x.reshape([n, width]), &targets),
                |[x]| plain(x.reshape([n, width]), &targets),
            );
        }
    }

    #[test]
    fn uniform_logits_cost_the_logarithm_of_their_number() {
        let logits = Tensor::zeros([2, 8], &burn::tensor::Device::flex());
        for loss in cross_entropy(logits, &[0, 7]).into_data().iter::<f32>() {
            assert!((loss - 8f32.ln()).abs() < 1e-6);
        }
    }
}
