//! What an exploration came to, kept in the store.
//!
//! It is recorded before the next round begins: by then the store holds trajectories that this
//! round could not know, and a look-up for the newest solution would find them.

use eef_core::{StateKey, TrajectoryId};
use eef_select::{Preference, Solution};
use eef_store::{StoreError, TrajectoryStore};
use serde::{Deserialize, Serialize};

use crate::bench::Outcomes;
use crate::{Examples, TrainingSet};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Explored {
    pub(crate) n_simulations: usize,
    pub(crate) n_diverged: usize,
    pub(crate) n_environment_errors: usize,
    pub(crate) n_won: usize,
    pub(crate) n_generated_tokens: u64,
    n_need_recover: usize,
    #[serde(default)]
    announces_outcomes: bool,
    /// The keys of the units of its rollouts.
    #[serde(default)]
    pub(crate) units: Vec<String>,
    solutions: Vec<SolutionRecord>,
    /// Where pairs are to be told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preferences: Option<Vec<PreferenceRecord>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SolutionRecord {
    state: [u8; 16],
    trajectory: [u8; 16],
    train_from: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PreferenceRecord {
    chosen: [u8; 16],
    rejected: [u8; 16],
    n_rejected_actions: usize,
}

impl Explored {
    pub(crate) fn new(outcomes: &Outcomes, set: &TrainingSet) -> Self {
        let (n_diverged, n_environment_errors) = outcomes.n_incidents();
        let record = |solution: &Solution| SolutionRecord {
            state: *solution.state.as_bytes(),
            trajectory: *solution.trajectory.as_bytes(),
            train_from: solution.train_from,
        };
        let pair = |preference: &Preference| PreferenceRecord {
            chosen: *preference.chosen.as_bytes(),
            rejected: *preference.rejected.as_bytes(),
            n_rejected_actions: preference.n_rejected_actions,
        };
        Self {
            n_simulations: outcomes.n_jobs,
            n_diverged,
            n_environment_errors,
            n_won: outcomes.trajectories.iter().filter(|rollout| rollout.is_positive()).count(),
            n_generated_tokens: outcomes.n_generated_tokens(),
            n_need_recover: set.n_need_recover,
            announces_outcomes: set.announces_outcomes,
            units: outcomes.units.clone(),
            solutions: set.solutions().iter().map(record).collect(),
            preferences: match &set.examples {
                Examples::Solutions(_) => None,
                Examples::Preferences(preferences) => Some(preferences.iter().map(pair).collect()),
            },
        }
    }

    /// Whether the store has every rollout of it: one that was repaired may have lost some.
    pub(crate) fn is_whole(&self, store: &dyn TrajectoryStore) -> Result<bool, StoreError> {
        for key in &self.units {
            if !store.unit_is_complete(key)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn training_set(&self) -> TrainingSet {
        let solution = |record: &SolutionRecord| Solution {
            state: StateKey::from_bytes(record.state),
            trajectory: TrajectoryId::from_bytes(record.trajectory),
            train_from: record.train_from,
        };
        let pair = |record: &PreferenceRecord| Preference {
            chosen: TrajectoryId::from_bytes(record.chosen),
            rejected: TrajectoryId::from_bytes(record.rejected),
            n_rejected_actions: record.n_rejected_actions,
        };
        TrainingSet {
            examples: match &self.preferences {
                None => Examples::Solutions(self.solutions.iter().map(solution).collect()),
                Some(preferences) => Examples::Preferences(preferences.iter().map(pair).collect()),
            },
            announces_outcomes: self.announces_outcomes,
            n_need_recover: self.n_need_recover,
        }
    }
}
