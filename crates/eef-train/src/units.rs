//! What a training goes through: examples, or pairs of them that stay together.

use eef_llama::Llama;

use crate::forward::{Part, Plan, Weighing, forward_backward};
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
                let weighing = weighing(&examples, &reference, *beta, scale, &mut tally);
                let Part { gradients, .. } = forward_backward(model, &examples, weighing, plan)?;
                Ok(UnitsPart { loss_sum: tally.loss, gradients, tally: Some(tally) })
            }
        }
    }
}
