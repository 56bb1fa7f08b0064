//! The phases of a run and what each costs at most.

use eef::{Method, RoundSizes};
use serde::Serialize;

use super::sizes::Sizes;
use crate::config::Config;

/// One phase and what it costs at most.
#[derive(Debug, Serialize)]
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) n_rollouts: f64,
    pub(super) n_examples: f64,
    pub(super) n_read_tokens: f64,
    pub(super) n_generated_tokens: f64,
    pub(super) n_training_tokens: f64,
    pub(super) seconds: f64,
}

/// The phases in their order.
pub(super) fn of(config: &Config, method: &dyn Method, sizes: &Sizes) -> Vec<Phase> {
    let cost = Cost { config, sizes };
    let cloning = &config.behaviour_cloning;
    let n_stages = cloning.max_stages as f64;
    let validation = sizes.n_validation as f64;
    let n_epochs = cloning.stage_epochs as f64 * n_stages;
    let mut phases = vec![
        cost.training("behaviour cloning".to_owned(), sizes.n_imitated as f64, n_epochs),
        cost.rollouts("validation of its stages".to_owned(), validation * n_stages),
    ];
    if !method.explores() {
        phases.push(cost.rollouts("test".to_owned(), sizes.n_test as f64));
        return phases;
    }
    let n_positives = sizes.n_experts as f64 * sizes.positive_share;
    for round in 2..=config.method.n_iterations {
        let limits = method.at_most(&RoundSizes {
            round,
            n_tasks: sizes.n_train,
            experts: &sizes.experts,
            n_positives: n_positives.round() as usize,
        });
        let n_simulations = match config.budget.simulations {
            0 => limits.n_rollouts,
            limit => limits.n_rollouts.min(limit),
        } as f64;
        let n_examples = limits.n_examples as f64;
        let n_epochs = config.train.n_epochs as f64;
        phases.push(cost.rollouts(format!("round {round}: explore"), n_simulations));
        phases.push(cost.training(format!("round {round}: train"), n_examples, n_epochs));
        phases.push(cost.rollouts(format!("round {round}: validate"), validation));
    }
    let n_tested = 2.0 * sizes.n_test as f64;
    phases.push(cost.rollouts("test, SFT pos and best round".to_owned(), n_tested));
    phases
}

/// From counts to tokens and time.
struct Cost<'a> {
    config: &'a Config,
    sizes: &'a Sizes,
}

impl Cost<'_> {
    fn rollouts(&self, name: String, n_rollouts: f64) -> Phase {
        self.phase(name, n_rollouts, 0.0, 0.0)
    }

    fn training(&self, name: String, n_examples: f64, n_epochs: f64) -> Phase {
        self.phase(name, 0.0, n_examples, n_epochs)
    }

    fn phase(&self, name: String, n_rollouts: f64, n_examples: f64, n_epochs: f64) -> Phase {
        let (read, said) = (self.sizes.read_tokens, self.sizes.said_tokens);
        let (n_read_tokens, n_generated_tokens) = (n_rollouts * read, n_rollouts * said);
        let n_training_tokens = n_examples * n_epochs * (read + said);
        // A token costs about 2 operations per parameter forwards and 6 in training.
        let operations = self.sizes.n_parameters
            * (2.0 * (n_read_tokens + n_generated_tokens) + 6.0 * n_training_tokens);
        let seconds = operations / (self.config.plan.gigaflops * 1e9);
        Phase {
            name,
            n_rollouts,
            n_examples,
            n_read_tokens,
            n_generated_tokens,
            n_training_tokens,
            seconds,
        }
    }
}
