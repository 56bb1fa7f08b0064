//! What is asked for, and what comes of it.

use std::sync::Arc;

use eef_core::{Author, Incident, Sampling, Seed, TaskId, Trajectory, TrajectoryId};

/// Where a rollout starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// In the task's initial state `s_0`.
    Initial,
    /// After replaying the first actions of an expert's trajectory of the same task.
    Replay {
        /// Whose actions.
        expert: Arc<Trajectory>,
        /// How many of them: fewer than it has, so that a state is left to act in.
        n_actions: usize,
    },
}

/// One rollout to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The id of the trajectory that comes of it.
    pub id: TrajectoryId,
    /// The task.
    pub task: TaskId,
    /// Where it starts.
    pub start: Start,
    /// How replies are drawn.
    pub sampling: Sampling,
    /// Turn `i` of the episode (replayed turns counted) draws from `seed.derive("turn", i)`.
    pub seed: Seed,
    /// The round of Algorithm 1.
    pub round: u32,
    /// Which of several rollouts from the same state.
    pub sample: u32,
}

/// Jobs that run together against one policy and are committed together or not at all.
///
/// Which jobs share a batch depends on the unit alone, so a unit's result does too.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its name in the store.
    pub key: String,
    /// The rollouts.
    pub jobs: Vec<Job>,
}

/// What came of a unit: every job is either a trajectory or an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitResult {
    /// The unit's key.
    pub key: String,
    /// In the order of the jobs.
    pub trajectories: Vec<Trajectory>,
    /// Jobs that gave no trajectory, in their order.
    pub incidents: Vec<Incident>,
}

/// How rollouts are run.
#[derive(Clone, Debug)]
pub struct RolloutConfig {
    /// Who speaks: the tuned policy, or a teacher that collects trajectories of its own.
    pub author: Author,
    /// How often a unit is tried where the environment fails in it; in the last try the failures
    /// become incidents. At least 1.
    pub n_attempts: u32,
    /// Threads that step a unit's environments: 1 for environments that answer in microseconds,
    /// more for simulators. The result is the same.
    pub n_environment_threads: usize,
    /// Threads of the pool in which one worker's policy computes. The same however many workers
    /// there are, because the number of threads may show in the last bits of a sum.
    pub n_threads_per_worker: usize,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        Self {
            author: Author::Policy,
            n_attempts: 2,
            n_environment_threads: 1,
            n_threads_per_worker: 1,
        }
    }
}

/// Counts over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolloutSummary {
    /// Trajectories committed.
    pub n_trajectories: u64,
    /// Those with the full reward.
    pub n_positive: u64,
    /// Jobs that became incidents.
    pub n_incidents: u64,
    /// Actions that were chosen (replayed ones not counted).
    pub n_actions: u64,
    /// Tokens that were sampled, where the policy gives them.
    pub n_sampled_tokens: u64,
}

impl RolloutSummary {
    /// Adds a unit's result.
    pub fn add(&mut self, result: &UnitResult) {
        for trajectory in &result.trajectories {
            self.n_trajectories += 1;
            self.n_positive += u64::from(trajectory.is_positive());
            let chosen = &trajectory.steps[trajectory.n_replayed().min(trajectory.steps.len())..];
            self.n_actions += chosen.len() as u64;
            self.n_sampled_tokens += chosen
                .iter()
                .filter_map(|step| step.sampled.as_ref())
                .map(|sampled| sampled.ids.len() as u64)
                .sum::<u64>();
        }
        self.n_incidents += result.incidents.len() as u64;
    }

    /// The share of trajectories with the full reward; 0 of none.
    pub fn win_rate(&self) -> f64 {
        self.n_positive as f64 / (self.n_trajectories.max(1)) as f64
    }
}
