//! The in-memory twin.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eef_core::{Incident, Origin, StateKey, TaskId, Trajectory, TrajectoryId};

use crate::store::{Rank, solved_states, validate};
use crate::{AppendReport, Checksum, StoreError, TrajectoryStore, Unit};

/// A store that forgets everything when it is dropped: for tests and small programs. It behaves
/// as [`SqliteStore`](crate::SqliteStore) does; the same tests run on both.
#[derive(Debug, Default)]
pub struct MemoryStore {
    contents: Mutex<Contents>,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    trajectories: BTreeMap<TrajectoryId, Arc<Trajectory>>,
    solutions: BTreeMap<StateKey, Rank>,
    units: BTreeMap<String, Unit>,
    records: BTreeMap<String, Vec<u8>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        // Contents change only after every check has passed, so they are whole after a panic.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn select(&self, keep: impl Fn(&Trajectory) -> bool) -> Vec<Arc<Trajectory>> {
        let contents = self.lock();
        contents.trajectories.values().filter(|stored| keep(stored)).cloned().collect()
    }
}

impl Contents {
    /// The new trajectories among those given, or what forbids adding them.
    fn fresh(
        &self,
        given: &[Trajectory],
    ) -> Result<BTreeMap<TrajectoryId, Arc<Trajectory>>, StoreError> {
        let mut fresh: BTreeMap<TrajectoryId, Arc<Trajectory>> = BTreeMap::new();
        for trajectory in given {
            validate(trajectory)?;
            let id = trajectory.id;
            match self.trajectories.get(&id).or_else(|| fresh.get(&id)) {
                None => {
                    fresh.insert(id, Arc::new(trajectory.clone()));
                }
                Some(stored) => {
                    let (stored, given) = (Checksum::of(stored), Checksum::of(trajectory));
                    if stored != given {
                        return Err(StoreError::Conflict { id, stored, given });
                    }
                }
            }
        }
        Ok(fresh)
    }

    fn add(&mut self, fresh: BTreeMap<TrajectoryId, Arc<Trajectory>>) {
        for trajectory in fresh.values() {
            let rank = Rank::of(trajectory);
            for state in solved_states(trajectory) {
                let best = self.solutions.entry(state).or_insert(rank);
                *best = rank.min(*best);
            }
        }
        self.trajectories.extend(fresh);
    }
}

fn report(n_given: usize, n_new: usize) -> AppendReport {
    AppendReport { n_new, n_known: n_given - n_new }
}

impl TrajectoryStore for MemoryStore {
    fn append(&self, trajectories: &[Trajectory]) -> Result<AppendReport, StoreError> {
        let mut contents = self.lock();
        let fresh = contents.fresh(trajectories)?;
        let report = report(trajectories.len(), fresh.len());
        contents.add(fresh);
        Ok(report)
    }

    fn append_unit(
        &self,
        unit_key: &str,
        trajectories: &[Trajectory],
        incidents: &[Incident],
    ) -> Result<AppendReport, StoreError> {
        let mut contents = self.lock();
        let fresh = contents.fresh(trajectories)?;
        let unit = Unit::new(trajectories, incidents);
        if let Some(stored) = contents.units.get(unit_key) {
            let (stored, given) = (stored.checksum(unit_key), unit.checksum(unit_key));
            if stored != given {
                return Err(StoreError::UnitConflict { unit: unit_key.to_owned(), stored, given });
            }
        }
        let report = report(trajectories.len(), fresh.len());
        contents.add(fresh);
        contents.units.insert(unit_key.to_owned(), unit);
        Ok(report)
    }

    fn unit(&self, unit_key: &str) -> Result<Option<Unit>, StoreError> {
        Ok(self.lock().units.get(unit_key).cloned())
    }

    fn incidents(&self) -> Result<Vec<Incident>, StoreError> {
        Ok(self.lock().units.values().flat_map(|unit| unit.incidents.clone()).collect())
    }

    fn get(&self, id: &TrajectoryId) -> Result<Option<Arc<Trajectory>>, StoreError> {
        Ok(self.lock().trajectories.get(id).cloned())
    }

    fn contains(&self, id: &TrajectoryId) -> Result<bool, StoreError> {
        Ok(self.lock().trajectories.contains_key(id))
    }

    fn n_trajectories(&self) -> Result<u64, StoreError> {
        Ok(self.lock().trajectories.len() as u64)
    }

    fn best_solution(&self, state: &StateKey) -> Result<Option<TrajectoryId>, StoreError> {
        Ok(self.lock().solutions.get(state).map(|rank| rank.id))
    }

    fn positives_of(&self, task: &TaskId) -> Result<Vec<Arc<Trajectory>>, StoreError> {
        Ok(self.select(|trajectory| trajectory.is_positive() && trajectory.task == *task))
    }

    fn experts(&self) -> Result<Vec<Arc<Trajectory>>, StoreError> {
        Ok(self.select(|trajectory| matches!(trajectory.origin, Origin::Expert { .. })))
    }

    fn by_round(&self, round: u32) -> Result<Vec<Arc<Trajectory>>, StoreError> {
        Ok(self.select(|trajectory| trajectory.origin.round() == round))
    }

    fn ids(&self) -> Result<Vec<TrajectoryId>, StoreError> {
        let contents = self.lock();
        let mut ids: Vec<(u32, TrajectoryId)> = contents
            .trajectories
            .values()
            .map(|trajectory| (trajectory.origin.round(), trajectory.id))
            .collect();
        ids.sort_unstable();
        Ok(ids.into_iter().map(|(_, id)| id).collect())
    }

    fn put_record(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.lock().records.insert(key.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn record(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().records.get(key).cloned())
    }
}
