//! Rollouts that gave no trajectory.

use crate::{Observation, TaskId, TrajectoryId};

/// A rollout that was asked for and gave no trajectory. It is recorded, so that it is counted,
/// reported, and not run again when an interrupted run continues; it never becomes a reward of 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// The id that the trajectory would have had.
    pub job: TrajectoryId,
    /// The task.
    pub task: TaskId,
    /// What happened.
    pub kind: IncidentKind,
}

/// Why a rollout gave no trajectory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentKind {
    /// The environment answered a replayed action otherwise than when it was recorded.
    Diverged {
        /// Index of the replayed action whose observation differs; 0 also where the opening does.
        at_action: usize,
        /// What was recorded.
        expected: Observation,
        /// What the environment shows now.
        found: Observation,
    },
    /// The environment itself failed.
    EnvironmentError {
        /// What it said.
        message: String,
    },
}

impl IncidentKind {
    /// A short name for tables: `diverged` or `environment error`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Diverged { .. } => "diverged",
            Self::EnvironmentError { .. } => "environment error",
        }
    }
}
