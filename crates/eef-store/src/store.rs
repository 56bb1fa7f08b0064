//! What a store is.

use std::cmp::Reverse;
use std::sync::Arc;

use eef_core::{Incident, StateKey, TaskId, Trajectory, TrajectoryId};

use crate::StoreError;
use crate::checksum::Hasher;
use crate::{Checksum, incident_record};

/// Durable memory of a run: every trajectory, positive or not.
///
/// Invariants that every store keeps:
/// - A call that adds something adds all of it or nothing, and what it has acknowledged survives
///   the death of the process.
/// - Adding what is there already changes nothing; adding something else under the same id is an
///   error, never a choice.
/// - Lists have an order that does not depend on the order of insertion.
/// - What was damaged is reported, never given out.
pub trait TrajectoryStore: Send + Sync {
    /// Adds trajectories in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where an id is taken by other content, [`StoreError::Invalid`]
    /// where a trajectory breaks a rule; then none of them is added.
    fn append(&self, trajectories: &[Trajectory]) -> Result<AppendReport, StoreError>;

    /// Adds the results of a whole unit of work and marks it complete, in one transaction.
    /// `unit_key` says what was done, from the configuration and never from a path or a clock.
    ///
    /// # Errors
    /// As [`append`](Self::append), and [`StoreError::UnitConflict`] where the unit is complete
    /// with other results.
    fn append_unit(
        &self,
        unit_key: &str,
        trajectories: &[Trajectory],
        incidents: &[Incident],
    ) -> Result<AppendReport, StoreError>;

    /// What a complete unit holds; `None` where it is not complete.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn unit(&self, unit_key: &str) -> Result<Option<Unit>, StoreError>;

    /// Whether a unit is complete.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn unit_is_complete(&self, unit_key: &str) -> Result<bool, StoreError> {
        Ok(self.unit(unit_key)?.is_some())
    }

    /// All incidents, ordered by unit key, then as they were given.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn incidents(&self) -> Result<Vec<Incident>, StoreError>;

    /// A trajectory.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn get(&self, id: &TrajectoryId) -> Result<Option<Arc<Trajectory>>, StoreError>;

    /// Whether a trajectory is stored.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn contains(&self, id: &TrajectoryId) -> Result<bool, StoreError>;

    /// Number of trajectories.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn n_trajectories(&self) -> Result<u64, StoreError>;

    /// The paper's `GetTraj` in one look-up: among the positive trajectories that pass through
    /// the state and act in it, the one with the fewest expert actions; then the newest round,
    /// then fewer actions, then the smaller id.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn best_solution(&self, state: &StateKey) -> Result<Option<TrajectoryId>, StoreError>;

    /// The positive trajectories of a task, ordered by id.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn positives_of(&self, task: &TaskId) -> Result<Vec<Arc<Trajectory>>, StoreError>;

    /// The teachers' own trajectories, ordered by id.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn experts(&self) -> Result<Vec<Arc<Trajectory>>, StoreError>;

    /// The trajectories of a round, ordered by id; round 0 is the teachers'.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn by_round(&self, round: u32) -> Result<Vec<Arc<Trajectory>>, StoreError>;

    /// Every id, ordered by round and then by id: what grew from another round's trajectory comes after
    /// it, what grew from one of its own round in any order.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn ids(&self) -> Result<Vec<TrajectoryId>, StoreError>;

    /// Keeps some bytes under a key, in place of what was there: what a run needs to continue.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be written.
    fn put_record(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// The bytes under a key.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn record(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AppendReport {
    /// Trajectories that are new.
    pub n_new: usize,
    /// Trajectories that were there already.
    pub n_known: usize,
}

/// The results of a complete unit of work, in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its trajectories.
    pub trajectories: Vec<TrajectoryId>,
    /// Its rollouts that gave none.
    pub incidents: Vec<Incident>,
}

impl Unit {
    pub(crate) fn new(trajectories: &[Trajectory], incidents: &[Incident]) -> Self {
        let trajectories = trajectories.iter().map(|trajectory| trajectory.id).collect();
        Self { trajectories, incidents: incidents.to_vec() }
    }

    pub(crate) fn checksum(&self, unit_key: &str) -> Checksum {
        let mut hasher = Hasher::new("unit content");
        hasher.text(unit_key);
        hasher.integer(self.trajectories.len() as i64);
        self.trajectories.iter().for_each(|id| hasher.bytes(id.as_bytes()));
        hasher.integer(self.incidents.len() as i64);
        for incident in &self.incidents {
            incident_record::hash(incident, &mut hasher);
        }
        hasher.finish()
    }
}

/// A positive trajectory's place among the solutions of a state: the least is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) n_expert_actions: usize,
    pub(crate) round: Reverse<u32>,
    pub(crate) n_actions: usize,
    pub(crate) id: TrajectoryId,
}

impl Rank {
    pub(crate) fn of(trajectory: &Trajectory) -> Self {
        Self {
            n_expert_actions: trajectory.n_expert_actions(),
            round: Reverse(trajectory.origin.round()),
            n_actions: trajectory.n_actions(),
            id: trajectory.id,
        }
    }
}

/// The states that a trajectory solves: those in which it acts, if it is positive.
pub(crate) fn solved_states(trajectory: &Trajectory) -> Vec<StateKey> {
    if !trajectory.is_positive() {
        return Vec::new();
    }
    let mut keys = trajectory.state_keys();
    keys.truncate(trajectory.n_actions());
    keys
}

/// The rules that a stored trajectory keeps.
pub(crate) fn validate(trajectory: &Trajectory) -> Result<(), StoreError> {
    let invalid = |reason: String| StoreError::Invalid { id: trajectory.id, reason };
    if trajectory.n_replayed() > trajectory.n_actions() {
        let (n, all) = (trajectory.n_replayed(), trajectory.n_actions());
        return Err(invalid(format!("it replays {n} actions but has only {all}")));
    }
    for (index, step) in trajectory.steps.iter().enumerate() {
        let Some(sampled) = &step.sampled else {
            continue;
        };
        let (n_ids, n_values) = (sampled.ids.len(), sampled.log_probabilities.len());
        if n_values != 0 && n_values != n_ids {
            let what = format!("action {index} has {n_ids} token ids and {n_values}");
            return Err(invalid(format!("{what} log-probabilities: expected as many, or none")));
        }
        if sampled.log_probabilities.iter().any(|value| !value.is_finite()) {
            return Err(invalid(format!(
                "action {index} has a log-probability that is not finite"
            )));
        }
    }
    Ok(())
}
