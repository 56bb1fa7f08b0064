//! What ends a run.

use std::path::PathBuf;

use eef_core::{LearnerError, Split, TrajectoryId};
use eef_rollout::RolloutError;
use eef_store::StoreError;

/// A failure of a run. What was done before it is kept; the same call continues.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The control asked to stop.
    #[error("interrupted; the same command continues")]
    Interrupted,
    /// A learner that did not score every trajectory it was given.
    #[error("the learner gave {found} likelihoods for {expected} trajectories")]
    Likelihoods {
        /// How many it gave.
        found: usize,
        /// How many were asked for.
        expected: usize,
    },
    /// A setting makes no sense.
    #[error("setting `{field}` is {found}: expected {expected}")]
    Setting {
        /// Its name in the configuration.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// There is no such method.
    #[error("unknown method `{found}`: expected one of {}", expected.join(", "))]
    UnknownMethod {
        /// What was asked for.
        found: String,
        /// What there is.
        expected: Vec<&'static str>,
    },
    /// The environment has no task in a split.
    #[error("the environment has no {split} task")]
    NoTasks {
        /// The split.
        split: Split,
    },
    /// There is nothing to imitate.
    #[error(
        "no expert trajectory to imitate: of {n_experts} on training tasks, {n_named} are by \
         {names:?} (setting `bc_experts`) and {n_positive} of those are positive"
    )]
    NothingToImitate {
        /// Expert trajectories on training tasks.
        n_experts: usize,
        /// Those by the experts that are to be imitated.
        n_named: usize,
        /// Those of them that solve their task.
        n_positive: usize,
        /// Who is to be imitated.
        names: Vec<String>,
    },
    /// An expert that is to be imitated left no trajectory on a training task.
    #[error(
        "no expert trajectory on the training tasks is by `{found}` (setting `bc_experts`): there \
         are those of {}",
        known.join(", ")
    )]
    UnknownExpert {
        /// Who is to be imitated.
        found: String,
        /// Whose trajectories there are.
        known: Vec<String>,
    },
    /// What was given as an expert's trajectory is a policy's.
    #[error(
        "trajectory {id} is a rollout of a policy, not an expert's: leave it out of the experts"
    )]
    NotAnExpert {
        /// Which one.
        id: TrajectoryId,
    },
    /// The environment fails too often for its results to mean anything.
    #[error(
        "{phase}: the environment failed in {n_failed} of {n_jobs} rollouts; mend it, and the \
         same command continues"
    )]
    Outage {
        /// The phase.
        phase: String,
        /// Rollouts that failed so far.
        n_failed: usize,
        /// Rollouts that were asked for.
        n_jobs: usize,
    },
    /// An evaluation on training tasks would add its rollouts to what a run trains on.
    #[error("the store belongs to a run: an evaluation on training tasks needs a store of its own")]
    StoreOfRun,
    /// Nothing can be said of a model on a split.
    #[error("no rollout on the {split} tasks has an outcome")]
    NoOutcome {
        /// The split.
        split: Split,
    },
    /// A model is not as it was written.
    #[error(
        "{} is damaged ({file} has {found} bytes and was written with {expected}): move it away, \
         and the same command trains it again",
        path.display()
    )]
    DamagedModel {
        /// The model's directory.
        path: PathBuf,
        /// A file of it.
        file: String,
        /// The size it was written with.
        expected: u64,
        /// Its size.
        found: u64,
    },
    /// The run directory holds a run with other settings.
    #[error(
        "the run directory belongs to a run with other settings (`{field}` was {stored}, is now \
         {given}): choose another directory, or the settings that it was started with"
    )]
    OtherRun {
        /// What differs.
        field: String,
        /// What it was.
        stored: String,
        /// What it is.
        given: String,
    },
    /// A model's directory is there, but the store does not know it.
    #[error(
        "{} was not written by this run: move it away, or choose another run directory",
        path.display()
    )]
    ForeignModel {
        /// The model's directory.
        path: PathBuf,
    },
    /// The store does not hold what it should.
    #[error("the store has no trajectory {id}, which {wanted_by} needs")]
    MissingTrajectory {
        /// Which one.
        id: TrajectoryId,
        /// What needs it.
        wanted_by: String,
    },
    /// A record of the store cannot be read.
    #[error("record `{key}` of the store cannot be read")]
    Record {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file operation failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Rollouts failed.
    #[error(transparent)]
    Rollout(RolloutError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The learner failed.
    #[error(transparent)]
    Learner(LearnerError),
}

impl From<RolloutError> for RunError {
    fn from(error: RolloutError) -> Self {
        match error {
            RolloutError::Interrupted { .. } => Self::Interrupted,
            other => Self::Rollout(other),
        }
    }
}

impl From<LearnerError> for RunError {
    fn from(error: LearnerError) -> Self {
        match error {
            LearnerError::Interrupted => Self::Interrupted,
            other => Self::Learner(other),
        }
    }
}
