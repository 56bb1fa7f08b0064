//! Direct preference optimisation: which of two sequences the model should find likelier.

use serde::{Deserialize, Serialize};

use crate::forward::{Weighing, sums};
use crate::{TrainError, TrainExample};

/// Two sequences for one task, of which one is better. Each one's trained tokens are its actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferencePair {
    /// The better one.
    pub chosen: TrainExample,
    /// The other.
    pub rejected: TrainExample,
}

impl PreferencePair {
    pub(crate) fn examples(&self) -> [&TrainExample; 2] {
        [&self.chosen, &self.rejected]
    }
}

/// What direct preference optimisation (Rafailov et al. 2023) minimises, as ETO uses it (its section
/// on the optimising phase): `-log σ(β · ((log π(c) − log π₀(c)) − (log π(r) − log π₀(r))))`, the
/// mean over pairs, where `log π` sums over the trained tokens of a sequence, neither averaged nor
/// smoothed, and `π₀` is the model that the training starts from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreferenceConfig {
    /// How hard a distance from the model at the start is punished: ETO takes 0.1 in its first round
    /// and 0.5 later.
    pub beta: f64,
}

impl Default for PreferenceConfig {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

impl PreferenceConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the field that cannot be.
    pub fn validate(&self) -> Result<(), TrainError> {
        if self.beta > 0.0 && self.beta.is_finite() {
            return Ok(());
        }
        Err(TrainError::Config { field: "preference.beta", expected: "a positive number" })
    }
}

/// How the pairs of a step stand.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct PreferenceReport {
    /// Share of pairs whose chosen sequence gained more than the rejected one since the start.
    pub accuracy: f64,
    /// Mean of `β · (log π(c) − log π₀(c))`: what DPO calls the reward of the chosen.
    pub chosen_reward: f64,
    /// The same of the rejected.
    pub rejected_reward: f64,
}

/// Sums over the pairs of a micro-batch, or of a step.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(crate) struct Tally {
    pub loss: f64,
    n_pairs: usize,
    n_right: usize,
    chosen_reward: f64,
    rejected_reward: f64,
}

impl Tally {
    /// Both together, in this order.
    pub fn and(self, other: Self) -> Self {
        Self {
            loss: self.loss + other.loss,
            n_pairs: self.n_pairs + other.n_pairs,
            n_right: self.n_right + other.n_right,
            chosen_reward: self.chosen_reward + other.chosen_reward,
            rejected_reward: self.rejected_reward + other.rejected_reward,
        }
    }

    pub fn report(&self) -> PreferenceReport {
        let n = self.n_pairs as f64;
        PreferenceReport {
            accuracy: self.n_right as f64 / n,
            chosen_reward: self.chosen_reward / n,
            rejected_reward: self.rejected_reward / n,
        }
    }
}

/// A pair that is told apart so well that it pulls less than this share of its most does not pull at
/// all: beside any other pair it is lost in `f32`'s rounding, and alone its gradients are denormal
/// numbers, with which processors compute ten times as slowly.
const LEAST_SHARE: f64 = f32::EPSILON as f64 / 2.0;

/// The factors on the token losses of some pairs that make their gradients those of `scale` × the
/// sum of the pairs' losses. `examples` are chosen and rejected in turn, `reference` holds the same
/// pairs' log-likelihoods at the start.
pub(crate) fn weighing<'a>(
    examples: &'a [&'a TrainExample],
    reference: &'a [[f64; 2]],
    beta: f64,
    scale: f64,
    tally: &'a mut Tally,
) -> Weighing<'a> {
    Weighing::ByLosses(Box::new(move |losses| {
        let log_likelihoods: Vec<f64> = sums(losses, examples).map(|sum| -sum).collect();
        let mut weights = Vec::with_capacity(losses.len());
        let pairs = log_likelihoods.chunks_exact(2).zip(examples.chunks_exact(2)).zip(reference);
        for ((found, pair), reference) in pairs {
            let chosen = beta * (found[0] - reference[0]);
            let rejected = beta * (found[1] - reference[1]);
            let margin = chosen - rejected;
            *tally = tally.and(Tally {
                loss: softplus(-margin),
                n_pairs: 1,
                n_right: usize::from(margin > 0.0),
                chosen_reward: chosen,
                rejected_reward: rejected,
            });
            // d loss / d log π(c) = −β σ(−margin), and a token's loss is a negative log-likelihood.
            let share = 1.0 / (1.0 + margin.exp());
            let share = if share < LEAST_SHARE { 0.0 } else { share };
            let pull = (scale * beta * share) as f32;
            weights.extend(std::iter::repeat_n(pull, pair[0].n_trained()));
            weights.extend(std::iter::repeat_n(-pull, pair[1].n_trained()));
        }
        weights
    }))
}

/// `log(1 + exp(x))` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(n_trained: usize) -> TrainExample {
        TrainExample::fully_trained(vec![1; n_trained + 1]).unwrap()
    }

    #[test]
    fn a_pair_that_has_not_moved_costs_the_logarithm_of_two_and_pulls_by_half() {
        let (chosen, rejected) = (example(2), example(1));
        let examples = [&chosen, &rejected];
        let mut tally = Tally::default();
        let reference = [[-3.0, -4.0]];
        let weighing = weighing(&examples, &reference, 0.1, 1.0, &mut tally);
        assert_eq!(weighing.weights(&[1.0, 2.0, 4.0]), [0.05, 0.05, -0.05]);
        assert!((tally.loss - 2_f64.ln()).abs() < 1e-12);
        let report = tally.report();
        assert_eq!(
            (report.accuracy, report.chosen_reward, report.rejected_reward),
            (0.0, 0.0, 0.0)
        );
    }

    #[test]
    fn a_pair_told_apart_well_hardly_pulls() {
        let (chosen, rejected) = (example(1), example(1));
        let examples = [&chosen, &rejected];
        let mut tally = Tally::default();
        let reference = [[-1.0, -1.0]];
        let weighing = weighing(&examples, &reference, 1.0, 0.5, &mut tally);
        // Rewards 0.5 and -1.5, margin 2.
        let weights = weighing.weights(&[0.5, 2.5]);
        let expected = 0.5 / (1.0 + 2_f64.exp());
        assert!((f64::from(weights[0]) - expected).abs() < 1e-7, "{weights:?} {expected}");
        assert_eq!(weights[1], -weights[0]);
        assert!((tally.loss - (1.0 + (-2_f64).exp()).ln()).abs() < 1e-12);
        assert_eq!(tally.report().accuracy, 1.0);
    }

    #[test]
    fn a_pair_told_apart_beyond_rounding_pulls_no_more() {
        let (chosen, rejected) = (example(1), example(1));
        let examples = [&chosen, &rejected];
        let weights = |margin: f32| {
            let mut tally = Tally::default();
            let weighing = weighing(&examples, &[[0.0, 0.0]], 1.0, 1.0, &mut tally);
            weighing.weights(&[0.0, margin])
        };
        assert!(weights(16.0)[0] > 0.0);
        assert_eq!(weights(17.0), [0.0, 0.0]);
    }

    #[test]
    fn no_margin_overflows() {
        assert_eq!(softplus(1e4), 1e4);
        assert_eq!(softplus(-1e4), 0.0);
        assert!(PreferenceConfig { beta: 0.0 }.validate().is_err());
        assert!(PreferenceConfig::default().validate().is_ok());
    }
}
