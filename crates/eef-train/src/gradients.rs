//! The gradients of all trainable parameters as one row of numbers.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Gradients, Tensor};

use crate::TrainError;
use crate::weights::is_trainable;

/// Gradients in the order in which the module visits its trainable parameters, `[n_parameters]`.
///
/// One flat row makes sums, the global norm and the optimiser independent of how the model splits
/// its weights, and their order, hence their rounding, always the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlatGradients(pub Vec<f32>);

impl FlatGradients {
    /// None yet.
    pub fn zeros(n_parameters: usize) -> Self {
        Self(vec![0.0; n_parameters])
    }

    /// Adds the gradients of a backward pass; parameters without one stay as they are.
    pub fn accumulate<M: Module>(
        &mut self,
        gradients: Gradients,
        model: &M,
    ) -> Result<(), TrainError> {
        let mut visitor = Accumulate {
            gradients: GradientsParams::from_grads(gradients, model),
            rest: &mut self.0,
            failure: None,
        };
        model.visit(&mut visitor);
        match visitor.failure {
            Some(reason) => Err(TrainError::Tensor { name: "gradient", reason }),
            None => Ok(()),
        }
    }

    /// Adds another micro-batch's gradients.
    pub fn add(&mut self, other: &Self) {
        for (sum, value) in self.0.iter_mut().zip(&other.0) {
            *sum += value;
        }
    }

    /// Euclidean norm over everything, accumulated in f64 in a fixed order.
    pub fn norm(&self) -> f64 {
        // Eight sums at a time: one alone would wait for each addition's latency.
        let mut sums = [0.0_f64; 8];
        let chunks = self.0.chunks_exact(8);
        let rest: f64 = chunks.remainder().iter().map(|&value| f64::from(value).powi(2)).sum();
        for chunk in chunks {
            for (sum, &value) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(value) * f64::from(value);
            }
        }
        (sums.iter().sum::<f64>() + rest).sqrt()
    }
}

/// The factor that brings a norm down to a limit; 1 for shorter ones.
pub(crate) fn clip_factor(norm: f64, limit: f64) -> f32 {
    if norm > limit { (limit / norm) as f32 } else { 1.0 }
}

struct Accumulate<'a> {
    gradients: GradientsParams,
    /// What is left of the row: every parameter takes its part from the front.
    rest: &'a mut [f32],
    failure: Option<String>,
}

impl ModuleVisitor for Accumulate<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !is_trainable(param) {
            return;
        }
        let n_elements = param.shape().num_elements();
        let rest = std::mem::take(&mut self.rest);
        if rest.len() < n_elements {
            self.failure = Some(format!("no room for the last {n_elements} values"));
            return;
        }
        let (sums, rest) = rest.split_at_mut(n_elements);
        self.rest = rest;
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        // Gradients of rounded matrices are as rounded; their sums are not.
        let data = gradient.into_data().convert_dtype(DType::F32);
        match data.as_slice::<f32>() {
            Ok(values) if values.len() == n_elements => {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value;
                }
            }
            Ok(values) => {
                let found = values.len();
                self.failure = Some(format!("expected {n_elements} values, found {found}"));
            }
            Err(error) => self.failure = Some(format!("expected f32: {error:?}")),
        }
    }
}

/// Numbers in all trainable float parameters of a module.
pub(crate) fn n_parameters<M: Module>(model: &M) -> usize {
    struct Count(usize);
    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if is_trainable(param) {
                self.0 += param.shape().num_elements();
            }
        }
    }
    let mut count = Count(0);
    model.visit(&mut count);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_and_clipping_are_global() {
        let gradients = FlatGradients((1..=10).map(|value| value as f32).collect());
        assert!((gradients.norm() - 385.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(clip_factor(4.0, 1.0), 0.25);
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert!(FlatGradients(vec![1.0, f32::NAN]).norm().is_nan());
    }

    #[test]
    fn sums_are_elementwise() {
        let mut sum = FlatGradients(vec![1.0, 2.0]);
        sum.add(&FlatGradients(vec![0.5, -2.0]));
        assert_eq!(sum.0, [1.5, 0.0]);
    }
}
