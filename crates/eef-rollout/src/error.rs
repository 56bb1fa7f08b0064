//! What can go wrong in rollouts. An environment's failure is an incident, and an error in
//! demonstrations alone.

use eef_core::{EnvError, ExpertName, PolicyError, TaskId, TrajectoryId};

/// A failure that ends a run of rollouts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RolloutError {
    /// The control asked to stop; units that were not committed are discarded.
    #[error("interrupted: {n_committed} of {n_units} units are committed, the rest runs again")]
    Interrupted {
        /// Units committed in this call.
        n_committed: usize,
        /// Units asked for.
        n_units: usize,
    },
    /// The policy failed.
    #[error("unit `{unit}`: the policy failed")]
    Policy {
        /// The unit's key.
        unit: String,
        /// Why.
        #[source]
        source: PolicyError,
    },
    /// The policy answered a conversation that was not waiting, or left one without an answer.
    #[error(
        "unit `{unit}`: the policy gave {found} replies while {n_waiting} conversations waited; \
         it must answer waiting conversations only, and at least one of them a step"
    )]
    Replies {
        /// The unit's key.
        unit: String,
        /// How many replies came.
        found: usize,
        /// How many conversations waited.
        n_waiting: usize,
    },
    /// A job names a task that the environment does not have.
    #[error("unit `{unit}`, job {job}: the environment does not know the task")]
    UnknownTask {
        /// The unit's key.
        unit: String,
        /// The job.
        job: TrajectoryId,
        /// The environment's answer.
        #[source]
        source: EnvError,
    },
    /// A job replays more actions than its expert trajectory has before its end.
    #[error(
        "unit `{unit}`, job {job}: cannot replay {n_actions} actions of a trajectory that has \
         {available}; at most {available} - 1 leave a state to act in"
    )]
    PrefixTooLong {
        /// The unit's key.
        unit: String,
        /// The job.
        job: TrajectoryId,
        /// Actions to replay.
        n_actions: usize,
        /// Actions in the expert's trajectory.
        available: usize,
    },
    /// A teacher's record would have holes, because the environment failed.
    #[error(
        "{teacher}: the environment failed in {n_incidents} of the tasks, first in {task}: \
         {message}; mend it or leave these tasks out"
    )]
    Undemonstrated {
        /// The teacher.
        teacher: ExpertName,
        /// How many tasks.
        n_incidents: usize,
        /// The first of them.
        task: TaskId,
        /// What the environment said about it.
        message: String,
    },
    /// No policy was given.
    #[error("rollouts need at least one policy: none was given for {n_units} units")]
    NoPolicy {
        /// Units waiting.
        n_units: usize,
    },
    /// A worker's thread pool could not be made.
    #[error("cannot start a worker with {n_threads} threads")]
    Pool {
        /// Threads asked for.
        n_threads: usize,
        /// Why.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// The callback that commits results failed.
    #[error("cannot commit unit `{unit}`")]
    Commit {
        /// The unit's key.
        unit: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
