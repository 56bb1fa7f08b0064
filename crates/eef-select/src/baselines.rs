//! The training sets of the baselines.
//!
//! A trajectory without actions teaches nothing and is left out of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eef_core::{Action, ExpertName, Origin, Seed, StateKey, TaskId, Trajectory, TrajectoryId};

use crate::Solution;

/// Behaviour cloning (Algorithm 1, lines 3 and 4; SFT pos): the positive trajectories of the named
/// experts, all actions trained, in the order given.
pub fn behaviour_cloning(trajectories: &[Arc<Trajectory>], names: &[ExpertName]) -> Vec<Solution> {
    by_experts(trajectories, names)
        .filter(|trajectory| trajectory.is_positive())
        .map(whole)
        .collect()
}

/// SFT all: every trajectory of the named experts, whatever its reward, in the order given.
pub fn all_experts(trajectories: &[Arc<Trajectory>], names: &[ExpertName]) -> Vec<Solution> {
    by_experts(trajectories, names).map(whole).collect()
}

/// Rejection sampling without balance: every positive trajectory, in the order given. Tasks with
/// many positives weigh more.
pub fn rejection_all(trajectories: &[Arc<Trajectory>]) -> Vec<Solution> {
    with_actions(trajectories).filter(|trajectory| trajectory.is_positive()).map(whole).collect()
}

/// DART-Uniform (the paper's RFT rows): up to `n_per_task` positive trajectories of every solved
/// task with different action sequences, in the order of the tasks.
///
/// They are drawn at random, as in the paper: an order by length would teach the simplest way
/// alone. The order is a function of the seed and the ids, so that it does not depend on which
/// other trajectories there are. Of trajectories with equal actions the first in this order stands
/// for all.
pub fn dart_uniform(
    trajectories: &[Arc<Trajectory>],
    n_per_task: usize,
    seed: Seed,
) -> Vec<Solution> {
    balanced(trajectories, seed, |_| n_per_task)
}

/// DART-Prop2Diff (Tong et al. 2024): as [`dart_uniform`], but a task's number of trajectories grows
/// with its failure rate; the hardest solved one gets `n_hardest`, none less than one.
///
/// `failure_rate` is a share between 0 and 1: see [`failure_rate`].
pub fn dart_prop2diff(
    trajectories: &[Arc<Trajectory>],
    n_hardest: usize,
    failure_rate: impl Fn(&TaskId) -> f64,
    seed: Seed,
) -> Vec<Solution> {
    let solved = with_actions(trajectories).filter(|trajectory| trajectory.is_positive());
    let hardest =
        solved.map(|trajectory| failure_rate(&trajectory.task)).fold(f64::MIN_POSITIVE, f64::max);
    balanced(trajectories, seed, |task| {
        let n = (n_hardest as f64 * failure_rate(task) / hardest).round() as usize;
        n.clamp(1, n_hardest.max(1))
    })
}

/// The share of failures that a task's rollouts point to, by Laplace's rule: `(n_failed + 1) /
/// (n_rollouts + 2)`, so that a single rollout does not decide between never and always.
pub fn failure_rate(n_failed: usize, n_rollouts: usize) -> f64 {
    (n_failed + 1) as f64 / (n_rollouts + 2) as f64
}

fn balanced(
    trajectories: &[Arc<Trajectory>],
    seed: Seed,
    n_of: impl Fn(&TaskId) -> usize,
) -> Vec<Solution> {
    let mut by_task: BTreeMap<&TaskId, Vec<&Trajectory>> = BTreeMap::new();
    for trajectory in with_actions(trajectories).filter(|trajectory| trajectory.is_positive()) {
        by_task.entry(&trajectory.task).or_default().push(trajectory);
    }
    let mut solutions = Vec::new();
    for (task, mut positives) in by_task {
        positives.sort_by_key(|trajectory| drawn(trajectory, seed));
        let mut seen = BTreeSet::new();
        let distinct = positives.into_iter().filter(|trajectory| seen.insert(actions(trajectory)));
        solutions.extend(distinct.take(n_of(task)).map(whole));
    }
    solutions
}

fn by_experts<'a>(
    trajectories: &'a [Arc<Trajectory>],
    names: &'a [ExpertName],
) -> impl Iterator<Item = &'a Trajectory> {
    with_actions(trajectories).filter(|trajectory| match &trajectory.origin {
        Origin::Expert { name } => names.contains(name),
        Origin::Rollout { .. } => false,
    })
}

fn with_actions(trajectories: &[Arc<Trajectory>]) -> impl Iterator<Item = &Trajectory> {
    trajectories.iter().map(AsRef::as_ref).filter(|trajectory| !trajectory.steps.is_empty())
}

fn whole(trajectory: &Trajectory) -> Solution {
    let state = StateKey::initial(&trajectory.task);
    Solution { state, trajectory: trajectory.id, train_from: 0 }
}

/// A place in a random order.
fn drawn(trajectory: &Trajectory, seed: Seed) -> (TrajectoryId, TrajectoryId) {
    let parts: [&[u8]; 2] = [&seed.get().to_le_bytes(), trajectory.id.as_bytes()];
    (TrajectoryId::derive(&parts), trajectory.id)
}

fn actions(trajectory: &Trajectory) -> Vec<&Action> {
    trajectory.steps.iter().map(|step| &step.action).collect()
}
