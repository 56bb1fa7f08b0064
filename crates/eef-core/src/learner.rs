//! What a learner is: something that turns trajectories into a better model.

use std::path::Path;
use std::sync::Arc;

use crate::{Control, Policy, Seed, Trajectory};

/// What a prompt may announce of the trajectory that follows it (negative-aware training, Wang et
/// al. 2024): trained on both, asked for the positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutcomeLabel {
    /// It solves the task.
    Positive,
    /// It does not.
    Negative,
}

impl OutcomeLabel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Positive, Self::Negative];

    /// What is true of a trajectory.
    pub fn of(trajectory: &Trajectory) -> Self {
        if trajectory.is_positive() { Self::Positive } else { Self::Negative }
    }

    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }
}

/// A trajectory, and the first of its actions to train on; actions before are context only.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingItem {
    /// What to learn from.
    pub trajectory: Arc<Trajectory>,
    /// Index of the first trained action; 0 trains them all.
    pub train_from: usize,
    /// What the prompt announces.
    pub label: Option<OutcomeLabel>,
}

/// Two trajectories of one task, of which one is better. All actions of the chosen one count, and
/// the first ones of the other.
#[derive(Clone, Debug, PartialEq)]
pub struct PreferenceItem {
    /// The better one.
    pub chosen: Arc<Trajectory>,
    /// The other.
    pub rejected: Arc<Trajectory>,
    /// How many of its actions count, from the first; what follows is cut off.
    pub n_rejected_actions: usize,
}

/// What to train on, in a fixed order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrainingData<'a> {
    /// Actions to imitate (the paper's masked loss).
    Demonstrations(&'a [TrainingItem]),
    /// Trajectories to tell apart (direct preference optimisation, as ETO uses it).
    Preferences {
        /// The pairs.
        pairs: &'a [PreferenceItem],
        /// DPO's β.
        beta: f64,
    },
}

impl TrainingData<'_> {
    /// Items, or pairs.
    pub fn len(&self) -> usize {
        match self {
            Self::Demonstrations(items) => items.len(),
            Self::Preferences { pairs, .. } => pairs.len(),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One phase of training.
pub struct TrainRequest<'a> {
    /// Directory of the model to start from.
    pub init: &'a Path,
    /// Directory to write the tuned model to; complete as soon as it exists.
    pub output: &'a Path,
    /// Directory for the state that lets an interrupted training continue.
    pub scratch: &'a Path,
    /// What to train on.
    pub data: TrainingData<'a>,
    /// Passes over it.
    pub n_epochs: usize,
    /// Fewer passes where so many would train more tokens than this, but one in any case; `None` takes
    /// all of them.
    pub max_trained_tokens: Option<u64>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Orders it.
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
    /// Mean loss per trained token (nats), or per pair, of each epoch.
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

    /// How likely a model finds the trained actions of each item: log-likelihood in nats, mean over
    /// their tokens, so that long and short ones can be compared.
    ///
    /// # Errors
    /// As [`Learner::train`].
    fn likelihoods(
        &self,
        model: &Path,
        items: &[TrainingItem],
        control: &Control<'_>,
    ) -> Result<Vec<f64>, LearnerError>;

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
