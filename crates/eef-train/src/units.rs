//! What a training goes through: examples, or pairs of them that stay together.

use eef_llama::Llama;

use crate::forward::{Part, Plan, Weighing, add_gradients, forward_backward, token_losses};
use crate::gradients::FlatGradients;
use crate::preference::{Tally, weighing};
use crate::reference::n_tokens;
use crate::{PreferencePair, TrainError, TrainExample};

/// The units of a training, and what it minimises over them.
#[derive(Debug)]
pub(crate) enum Units<'a> {
    /// The mean loss of all trained tokens of a step.
    Examples(&'a [TrainExample]),
    /// The mean preference loss of all pairs of a step.
    Pairs {
        pairs: &'a [PreferencePair],
        /// Log-likelihoods of each pair at the start.
        reference: Vec<[f64; 2]>,
        beta: f64,
    },
}

/// What a micro-batch of units adds to its optimiser step.
pub(crate) struct UnitsPart {
    /// Sum of losses, not yet divided.
    pub loss_sum: f64,
    pub gradients: FlatGradients,
    /// Where units are pairs.
    pub tally: Option<Tally>,
}

impl Units<'_> {
    pub fn len(&self) -> usize {
        match self {
            Self::Examples(examples) => examples.len(),
            Self::Pairs { pairs, .. } => pairs.len(),
        }
    }

    pub fn n_tokens(&self, unit: usize) -> usize {
        match self {
            Self::Examples(examples) => examples[unit].n_tokens(),
            Self::Pairs { pairs, .. } => n_tokens(&pairs[unit]),
        }
    }

    pub fn n_trained(&self, unit: usize) -> usize {
        match self {
            Self::Examples(examples) => examples[unit].n_trained(),
            Self::Pairs { pairs, .. } => {
                pairs[unit].examples().iter().map(|example| example.n_trained()).sum()
            }
        }
    }

    /// What the losses of these units are a mean over: trained tokens, or pairs.
    pub fn n_averaged(&self, units: &[usize]) -> usize {
        match self {
            Self::Examples(_) => units.iter().map(|&unit| self.n_trained(unit)).sum(),
            Self::Pairs { .. } => units.len(),
        }
    }

    /// Loss and gradients of a micro-batch; the gradients are those of `scale` × the sum of losses.
    pub fn forward_backward(
        &self,
        model: &Llama,
        units: &[usize],
        scale: f64,
        plan: Plan,
    ) -> Result<UnitsPart, TrainError> {
        match self {
            Self::Examples(examples) => {
                let examples: Vec<_> = units.iter().map(|&unit| &examples[unit]).collect();
                let part = forward_backward(model, &examples, Weighing::Constant(scale), plan)?;
                let loss_sum = part.loss_sum();
                Ok(UnitsPart { loss_sum, gradients: part.gradients, tally: None })
            }
            Self::Pairs { pairs, reference, beta } => {
                let examples: Vec<_> =
                    units.iter().flat_map(|&unit| pairs[unit].examples()).collect();
                let reference: Vec<_> = units.iter().map(|&unit| reference[unit]).collect();
                let mut tally = Tally::default();
                let is_long = units.iter().any(|&unit| self.n_tokens(unit) > plan.n_tokens_at_once);
                let weighing = weighing(&examples, &reference, *beta, scale, &mut tally);
                let gradients = if is_long {
                    one_by_one(model, &examples, weighing, plan)?
                } else {
                    let Part { gradients, .. } =
                        forward_backward(model, &examples, weighing, plan)?;
                    gradients
                };
                Ok(UnitsPart { loss_sum: tally.loss, gradients, tally: Some(tally) })
            }
        }
    }
}

/// The same gradients with the activations of one sequence at a time: all are run once more before, for
/// the losses that weights hang on.
fn one_by_one(
    model: &Llama,
    examples: &[&TrainExample],
    weighing: Weighing<'_>,
    plan: Plan,
) -> Result<FlatGradients, TrainError> {
    let mut losses = Vec::new();
    for example in examples {
        losses.extend(token_losses(model, &[example])?);
    }
    let weights = weighing.weights(&losses);
    let (mut gradients, mut start) = (FlatGradients::zeros(plan.n_parameters), 0);
    for example in examples {
        // All tokens of a sequence weigh the same.
        let weight = f64::from(weights[start]);
        start += example.n_trained();
        if weight != 0.0 {
            let weighing = Weighing::Constant(weight);
            add_gradients(model, &[example], weighing, plan, &mut gradients)?;
        }
    }
    Ok(gradients)
}

#[cfg(test)]
mod tests {
    use eef_llama::{LlamaConfig, device};

    use super::*;
    use crate::gradients::n_parameters;

    #[test]
    fn a_long_pair_goes_through_sequence_by_sequence_with_the_same_gradients() {
        let model = Llama::init(&LlamaConfig::tiny(24), 3, &device("cpu").unwrap()).unwrap();
        let example = |tokens: &[u32], n_context: usize| {
            let trained = (0..tokens.len()).map(|place| place >= n_context).collect();
            TrainExample::new(tokens.to_vec(), trained).unwrap()
        };
        let chosen = example(&[1, 5, 9, 2, 7], 2);
        let rejected = example(&[1, 5, 8, 8, 3, 11, 4], 2);
        let pairs = [PreferencePair { chosen, rejected }];
        let units = Units::Pairs { pairs: &pairs, reference: vec![[-9.0, -15.0]], beta: 0.1 };
        let whole = Plan::new(&model, n_parameters(&model), false);
        let apart = Plan { n_tokens_at_once: 11, ..whole };
        let parts =
            [whole, apart].map(|plan| units.forward_backward(&model, &[0], 0.5, plan).unwrap());
        let [whole, apart] = parts;
        assert!((whole.loss_sum - apart.loss_sum).abs() < 1e-6);
        assert!(whole.gradients.norm() > 1e-3);
        let mut difference = whole.gradients.clone();
        for (value, other) in difference.0.iter_mut().zip(&apart.gradients.0) {
            *value -= other;
        }
        assert!(difference.norm() < 1e-5 * whole.gradients.norm());
        assert_ne!(difference.norm(), 0.0, "they were not taken apart");
    }
}
