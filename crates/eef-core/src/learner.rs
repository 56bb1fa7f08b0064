//! What a learner is: something that turns trajectories into a better model.

use std::path::Path;
use std::sync::Arc;

use crate::{Control, Policy, Seed, Trajectory};

/// A trajectory, and the first of its actions to train on; actions before are context only.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingItem {
    /// What to learn from.
    pub trajectory: Arc<Trajectory>,
    /// Index of the first trained action; 0 trains them all.
    pub train_from: usize,
}

/// One phase of training.
pub struct TrainRequest<'a> {
    /// Directory of the model to start from.
    pub init: &'a Path,
    /// Directory to write the tuned model to; complete as soon as it exists.
    pub output: &'a Path,
    /// Directory for the state that lets an interrupted training continue.
    pub scratch: &'a Path,
    /// What to train on, in a fixed order.
    pub items: &'a [TrainingItem],
    /// Passes over the items.
    pub n_epochs: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Orders the items.
    pub seed: Seed,
}

/// What a training phase did.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TrainSummary {
    /// Optimiser steps taken.
    pub n_steps: u64,
    /// Tokens that went through the model, over all epochs.
    pub n_tokens: u64,
    /// Tokens that carried loss, over all epochs.
    pub n_trained_tokens: u64,
    /// Mean loss per trained token (nats) of each epoch.
    pub epoch_losses: Vec<f64>,
}

/// Trains models and opens policies on them. Models are directories.
pub trait Learner: Sync {
    /// Trains, continuing an interrupted run of the same request.
    ///
    /// # Errors
    /// [`LearnerError::Interrupted`] where the control asked to stop: the state is saved.
    fn train(
        &self,
        request: &TrainRequest<'_>,
        control: &Control<'_>,
    ) -> Result<TrainSummary, LearnerError>;

    /// A policy that samples from a model. Several may be open, one per worker thread.
    ///
    /// # Errors
    /// [`LearnerError::Failed`] where the model cannot be read.
    fn policy(&self, model: &Path) -> Result<Box<dyn Policy>, LearnerError>;
}

/// A failure of a learner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnerError {
    /// The control asked to stop.
    #[error("interrupted; the same command continues")]
    Interrupted,
    /// Nothing to train on.
    #[error("there is nothing to train on: no trajectory was selected")]
    NoItems,
    /// Loading, training or saving failed.
    #[error("the learner failed while {doing}")]
    Failed {
        /// What it was doing.
        doing: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
