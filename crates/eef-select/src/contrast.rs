//! Pairs of trajectories of which one is better (ETO).

use std::collections::BTreeMap;
use std::sync::Arc;

use eef_core::{TaskId, Trajectory, TrajectoryId};

/// Two trajectories of one task, of which one is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Preference {
    /// The one with the higher reward.
    pub chosen: TrajectoryId,
    /// The other.
    pub rejected: TrajectoryId,
    /// How many of its actions count, from the first: at least one.
    pub n_rejected_actions: usize,
}

/// Every rollout beside every expert trajectory of its task (ETO, Song et al. 2024, the exploration
/// phase): the higher reward is chosen, and equals tell nothing.
///
/// The rejected trajectory is cut to the chosen one's length and `n_more_actions`: what goes on
/// failing for long would outweigh everything else. In the order of the rollouts, then of the
/// experts. Trajectories without actions are left out.
pub fn contrast(
    experts: &[Arc<Trajectory>],
    rollouts: &[Arc<Trajectory>],
    n_more_actions: usize,
) -> Vec<Preference> {
    let mut by_task: BTreeMap<&TaskId, Vec<&Trajectory>> = BTreeMap::new();
    for expert in experts.iter().filter(|expert| expert.n_actions() > 0) {
        by_task.entry(&expert.task).or_default().push(expert);
    }
    let mut preferences = Vec::new();
    for rollout in rollouts.iter().filter(|rollout| rollout.n_actions() > 0) {
        for &expert in by_task.get(&rollout.task).into_iter().flatten() {
            let [of_expert, of_rollout] =
                [expert, rollout.as_ref()].map(|one| one.outcome.reward.get());
            let (chosen, rejected) = match of_expert.total_cmp(&of_rollout) {
                std::cmp::Ordering::Greater => (expert, rollout.as_ref()),
                std::cmp::Ordering::Less => (rollout.as_ref(), expert),
                std::cmp::Ordering::Equal => continue,
            };
            preferences.push(Preference {
                chosen: chosen.id,
                rejected: rejected.id,
                n_rejected_actions: rejected.n_actions().min(chosen.n_actions() + n_more_actions),
            });
        }
    }
    preferences
}
