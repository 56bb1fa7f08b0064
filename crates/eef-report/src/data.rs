//! What the experts left (the paper's Table 1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eef_core::{ExpertName, Origin, TaskId, Trajectory};
use serde::Serialize;

/// An expert's trajectories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExpertSummary {
    /// The expert.
    pub name: String,
    /// Trajectories.
    pub n_trajectories: usize,
    /// Tasks with one.
    pub n_tasks: usize,
    /// Those that solved their task.
    pub n_positive: usize,
    /// Mean number of actions.
    pub mean_actions: f64,
    /// Mean reward.
    pub mean_reward: f64,
}

/// One summary for each expert, by name. What is no expert's is left out.
pub fn expert_summaries(trajectories: &[Arc<Trajectory>]) -> Vec<ExpertSummary> {
    let mut by_name: BTreeMap<&ExpertName, Vec<&Trajectory>> = BTreeMap::new();
    for trajectory in trajectories {
        if let Origin::Expert { name } = &trajectory.origin {
            by_name.entry(name).or_default().push(trajectory);
        }
    }
    by_name.into_iter().map(|(name, found)| summary(name, &found)).collect()
}

fn summary(name: &str, found: &[&Trajectory]) -> ExpertSummary {
    let mean = |of: &dyn Fn(&Trajectory) -> f64| {
        found.iter().map(|one| of(one)).sum::<f64>() / found.len().max(1) as f64
    };
    let tasks: BTreeSet<&TaskId> = found.iter().map(|one| &one.task).collect();
    ExpertSummary {
        name: name.to_owned(),
        n_trajectories: found.len(),
        n_tasks: tasks.len(),
        n_positive: found.iter().filter(|one| one.is_positive()).count(),
        mean_actions: mean(&|one| one.n_actions() as f64),
        mean_reward: mean(&|one| one.outcome.reward.get()),
    }
}
