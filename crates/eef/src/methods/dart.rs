//! Difficulty-aware rejection tuning, its second variant.

use std::collections::BTreeMap;

use eef_core::{Origin, TaskId};
use eef_select::{dart_prop2diff, failure_rate};

use crate::{JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View};

/// DART-Prop2Diff (Tong et al. 2024): rollouts as RFT's, and the more trajectories of a task are
/// trained the more often it failed. (DART-Uniform is [`Rft`](super::Rft) with a number of positives
/// per task.)
#[derive(Clone, Copy, Debug)]
pub struct DartProp2Diff {
    n_hardest: usize,
}

impl DartProp2Diff {
    /// With `n_hardest` trajectories of the hardest solved task (the original's `k_p`).
    pub fn new(n_hardest: usize) -> Self {
        Self { n_hardest }
    }
}

impl Method for DartProp2Diff {
    fn name(&self) -> &'static str {
        "dart-prop2diff"
    }

    fn settings(&self) -> String {
        format!("{} positives of the hardest task", self.n_hardest)
    }

    fn explores(&self) -> bool {
        true
    }

    fn at_most(&self, sizes: &RoundSizes<'_>) -> RoundLimits {
        let n_rollouts = sizes.n_tasks;
        let n_positives = sizes.n_positives + (sizes.round as usize - 1) * n_rollouts;
        RoundLimits { n_rollouts, n_examples: n_positives.min(sizes.n_tasks * self.n_hardest) }
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        Ok(match view.n_batches {
            0 => view.from_initial_states(0, view.sampling),
            _ => Vec::new(),
        })
    }

    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
        let mut attempts: BTreeMap<TaskId, (usize, usize)> = BTreeMap::new();
        let known: std::collections::BTreeSet<&TaskId> = view.tasks.iter().collect();
        for round in 2..=view.round {
            for rollout in view.store.by_round(round)? {
                let from_start = matches!(rollout.origin, Origin::Rollout { parent: None, .. });
                if from_start && known.contains(&rollout.task) {
                    let (n_failed, n) = attempts.entry(rollout.task.clone()).or_default();
                    *n_failed += usize::from(!rollout.is_positive());
                    *n += 1;
                }
            }
        }
        let rate = |task: &TaskId| {
            let (n_failed, n) = attempts.get(task).copied().unwrap_or_default();
            failure_rate(n_failed, n)
        };
        let seed = view.seed.derive("positives of a task", 0);
        Ok(TrainingSet::of(dart_prop2diff(&view.positives()?, self.n_hardest, rate, seed)))
    }
}
