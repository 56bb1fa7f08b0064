//! What a method is.

use std::collections::BTreeMap;
use std::sync::Arc;

use eef_core::{ExpertName, Sampling, Seed, StateKey, TaskId, Trajectory};
use eef_rollout::Start;
use eef_select::Solution;
use eef_store::TrajectoryStore;

use crate::RunError;

/// A way to turn exploration into training sets; everything else is common to all methods.
///
/// A method is asked for jobs until it has none left (so it may look at the results of the first
/// ones before it asks for more), and then for the training set. It decides by what it is shown
/// and nothing else, so that an interrupted round continues alike.
pub trait Method: Sync {
    /// The name in configurations and tables.
    fn name(&self) -> &'static str;

    /// The settings that change its results, for the record of a run.
    fn settings(&self) -> String;

    /// What round 1 imitates.
    fn imitation(&self) -> Imitation {
        Imitation::Positives
    }

    /// Whether rounds of exploration follow.
    fn explores(&self) -> bool;

    /// The next rollouts of this round; none ends the exploration.
    ///
    /// Of this round it may use [`View::won`] alone: where an interrupted round continues, the
    /// store holds trajectories of batches that are asked for only later.
    ///
    /// # Errors
    /// Of the store.
    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError>;

    /// What to train on after the round's exploration.
    ///
    /// # Errors
    /// Of the store.
    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError>;
}

/// What the first round imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Imitation {
    /// The experts' positive trajectories (Algorithm 1, lines 3 and 4).
    Positives,
    /// All of the experts' trajectories (SFT all).
    Everything,
}

impl Imitation {
    /// Its name in paths and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Positives => "positives",
            Self::Everything => "everything",
        }
    }
}

/// What a method sees in a round.
pub struct View<'a> {
    /// The round, from 2.
    pub round: u32,
    /// The round's seed, for what a method draws at random.
    pub seed: Seed,
    /// How often jobs were asked for in this round already.
    pub n_batches: usize,
    /// The training tasks.
    pub tasks: &'a [TaskId],
    /// Every expert trajectory on them, in order of task and id.
    pub experts: &'a [Arc<Trajectory>],
    /// Whom the baselines may use.
    pub bc_experts: &'a [ExpertName],
    /// How an exploring policy samples where the method has no choice of its own.
    pub sampling: Sampling,
    /// This round's outcomes so far: whether the first sample from a state won. Rollouts that
    /// diverged or met an environment error are not in it.
    pub won: &'a BTreeMap<StateKey, bool>,
    /// All trajectories so far (`D+` is the positive ones of the training tasks).
    pub store: &'a dyn TrajectoryStore,
}

impl View<'_> {
    /// The positives of the training tasks that a baseline may use: the policy's own, and those of
    /// `bc_experts`.
    ///
    /// # Errors
    /// Of the store.
    pub fn positives(&self) -> Result<Vec<Arc<Trajectory>>, RunError> {
        let mut positives = Vec::new();
        for task in self.tasks {
            positives.extend(self.store.positives_of(task)?);
        }
        positives.retain(|trajectory| match &trajectory.origin {
            eef_core::Origin::Expert { name } => self.bc_experts.contains(name),
            eef_core::Origin::Rollout { .. } => true,
        });
        Ok(positives)
    }

    /// A rollout from every training task's initial state, once for each way of sampling.
    pub fn from_initial_states(&self, samplings: &[Sampling]) -> Vec<JobRequest> {
        let job = |task: &TaskId, sample: u32, sampling: Sampling| JobRequest {
            task: task.clone(),
            state: StateKey::initial(task),
            start: Start::Initial,
            sample,
            sampling,
        };
        (self.tasks.iter())
            .flat_map(|task| (0..).zip(samplings).map(move |(i, sampling)| job(task, i, *sampling)))
            .collect()
    }
}

/// A rollout that a method asks for. Ids and seeds are derived from it.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// The task.
    pub task: TaskId,
    /// The state to start in.
    pub state: StateKey,
    /// How to get there.
    pub start: Start,
    /// Which of several rollouts from this state in this round.
    pub sample: u32,
    /// How to sample.
    pub sampling: Sampling,
}

/// What a round trains on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrainingSet {
    /// The trajectories with their first trained action, in a fixed order.
    pub solutions: Vec<Solution>,
    /// States that need recovery, solved or not (EEF).
    pub n_need_recover: usize,
}

impl TrainingSet {
    /// Solutions of initial states alone.
    pub fn of(solutions: Vec<Solution>) -> Self {
        Self { solutions, n_need_recover: 0 }
    }
}
