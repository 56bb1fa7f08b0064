//! Who watches a training, and what they are told.

use serde::Serialize;

use crate::PreferenceReport;

/// What is known before the first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TrainStart {
    /// Steps that an interrupted run did before.
    pub n_steps_done: u64,
    /// Optimiser steps of the whole training.
    pub n_steps: u64,
    /// Optimiser steps of one epoch.
    pub n_steps_per_epoch: u64,
    /// Passes over the examples.
    pub n_epochs: usize,
    /// Numbers in the model's weights.
    pub n_parameters: usize,
}

/// One optimiser step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The step, counted from 1.
    pub step: u64,
    /// Optimiser steps of the whole training.
    pub n_steps: u64,
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Mean loss per trained token (nats), or per preference pair, before the update.
    pub loss: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Euclidean norm of all gradients, before clipping.
    pub gradient_norm: f64,
    /// Tokens that went through the model.
    pub n_tokens: u64,
    /// Tokens that carried loss.
    pub n_trained_tokens: u64,
    /// Whether the weights moved; not where loss or gradients were not finite.
    pub updated: bool,
    /// Tokens that carried loss, per second of this step.
    pub trained_tokens_per_second: f64,
    /// Main memory that the process held after the step, in bytes; none where the system does not
    /// tell.
    pub resident_bytes: Option<u64>,
    /// Speed of this step, forward, backward and update.
    pub tokens_per_second: f64,
    /// How the step's pairs stood before the update, in preference training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<PreferenceReport>,
}

/// Watches a training. Every method has a default that does nothing; `()` watches nothing.
pub trait TrainObserver {
    /// Called while preference training computes what the model at the start says of its pairs:
    /// before anything else, and not where that is known from before.
    fn scored(&mut self, _n_done: usize, _n_pairs: usize) {}

    /// Called once, before the first step.
    fn started(&mut self, _start: &TrainStart) {}

    /// Called after every step.
    fn stepped(&mut self, _report: &StepReport) {}

    /// Called where an epoch ends, with its mean loss per trained token; with that of the epoch
    /// before where no step of this one was finite.
    fn epoch_ended(&mut self, _epoch: usize, _loss: f64) {}

    /// Called once at the end, also where training stops early.
    fn ended(&mut self) {}

    /// Asked between steps: `true` writes a checkpoint and stops.
    fn should_stop(&mut self) -> bool {
        false
    }
}

impl TrainObserver for () {}

/// Watches through a reference.
impl<T: TrainObserver + ?Sized> TrainObserver for &mut T {
    fn scored(&mut self, n_done: usize, n_pairs: usize) {
        (**self).scored(n_done, n_pairs);
    }

    fn started(&mut self, start: &TrainStart) {
        (**self).started(start);
    }

    fn stepped(&mut self, report: &StepReport) {
        (**self).stepped(report);
    }

    fn epoch_ended(&mut self, epoch: usize, loss: f64) {
        (**self).epoch_ended(epoch, loss);
    }

    fn ended(&mut self) {
        (**self).ended();
    }

    fn should_stop(&mut self) -> bool {
        (**self).should_stop()
    }
}

/// Both watch; either may stop.
impl<A: TrainObserver, B: TrainObserver> TrainObserver for (A, B) {
    fn scored(&mut self, n_done: usize, n_pairs: usize) {
        self.0.scored(n_done, n_pairs);
        self.1.scored(n_done, n_pairs);
    }

    fn started(&mut self, start: &TrainStart) {
        self.0.started(start);
        self.1.started(start);
    }

    fn stepped(&mut self, report: &StepReport) {
        self.0.stepped(report);
        self.1.stepped(report);
    }

    fn epoch_ended(&mut self, epoch: usize, loss: f64) {
        self.0.epoch_ended(epoch, loss);
        self.1.epoch_ended(epoch, loss);
    }

    fn ended(&mut self) {
        self.0.ended();
        self.1.ended();
    }

    fn should_stop(&mut self) -> bool {
        // Not short-circuited: both are asked every time.
        self.0.should_stop() | self.1.should_stop()
    }
}
