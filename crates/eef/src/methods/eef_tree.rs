//! EEF that branches off from any stored trajectory (beyond the paper).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eef_core::{StateKey, TaskId, Trajectory};
use eef_select::{Branch, next_branch};

use super::eef::Simulated;
use super::eef_adaptive::next_in_doubt;
use crate::{JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View};

/// EEF as a tree search: along experts' trajectories the states between a success and a failure are
/// simulated as [`EefAdaptive`](super::EefAdaptive) does. Of a task that neither an expert nor a rollout
/// of this round has won, the search goes over the states of all trajectories, the experts' and the
/// policy's own of this round and of those before ([`next_branch`]), one simulation after the other,
/// until one wins or the task has had `M`. What is trained is selected as in EEF.
#[derive(Clone, Copy, Debug)]
pub struct EefTree {
    /// The states along experts' trajectories to choose from, and how many simulations a task may cost.
    pub simulated: Simulated,
    /// What is little known against what was good: UCT's constant, in units of reward.
    pub exploration: f64,
}

/// What there is of a task.
#[derive(Default)]
struct Known {
    trajectories: Vec<Arc<Trajectory>>,
    /// Whether an expert did, or a rollout of this round.
    has_won: bool,
}

impl EefTree {
    /// The trajectories of each training task.
    fn known<'a>(view: &View<'a>) -> Result<BTreeMap<&'a TaskId, Known>, RunError> {
        let mut known: BTreeMap<&TaskId, Known> =
            view.tasks.iter().map(|task| (task, Known::default())).collect();
        for one in view.experts.iter().chain(view.rollouts) {
            if let Some(known) = known.get_mut(&one.task) {
                known.has_won |= one.is_positive();
            }
        }
        let mut earlier = Vec::new();
        for round in 2..view.round {
            earlier.extend(view.store.by_round(round)?);
        }
        for one in view.experts.iter().chain(&earlier).chain(view.rollouts) {
            if let Some(known) = known.get_mut(&one.task) {
                known.trajectories.push(Arc::clone(one));
            }
        }
        Ok(known)
    }

    fn branch(&self, view: &View<'_>, known: &Known) -> Option<JobRequest> {
        // Whatever came of them: a replay that diverges costs too.
        let states = known.trajectories.iter().flat_map(|one| one.state_keys().into_iter().skip(1));
        let asked: BTreeSet<StateKey> = states.filter(|state| view.asked.contains(state)).collect();
        if known.has_won || asked.len() >= self.simulated.n_simulations {
            return None;
        }
        let all: Vec<&Trajectory> = known.trajectories.iter().map(AsRef::as_ref).collect();
        let Branch { trajectory, n_actions } = next_branch(&all, view.asked, self.exploration)?;
        Some(view.from_state(Arc::clone(&known.trajectories[trajectory]), n_actions))
    }
}

impl Method for EefTree {
    fn name(&self) -> &'static str {
        "eef-tree"
    }

    fn settings(&self) -> String {
        format!("{}, tree search, constant {}", self.simulated.describe(), self.exploration)
    }

    fn explores(&self) -> bool {
        true
    }

    fn at_most(&self, sizes: &RoundSizes<'_>) -> RoundLimits {
        let along_experts = self.simulated.at_most(sizes.n_tasks, &sizes.seen_by(self.whose()));
        let n_branches = sizes.n_tasks * self.simulated.n_simulations;
        RoundLimits { n_rollouts: along_experts.n_rollouts + n_branches, ..along_experts }
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        if view.n_batches == 0 {
            return Ok(view.from_initial_states(0, view.sampling));
        }
        let known = Self::known(view)?;
        let branches = known.values().filter_map(|known| self.branch(view, known));
        let in_doubt =
            view.experts.iter().filter_map(|expert| next_in_doubt(self.simulated, 0, view, expert));
        let mut seen: BTreeSet<StateKey> = BTreeSet::new();
        Ok(branches.chain(in_doubt).filter(|job| seen.insert(job.state)).collect())
    }

    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
        self.simulated.training_set(view, view.experts)
    }
}
