//! EEF without a teacher (appendix A.8).

use std::sync::Arc;

use eef_core::{Origin, Sampling, Trajectory};

use super::eef::Simulated;
use crate::{JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View};

/// The sample of a round's rollouts that stand for expert trajectories; the first one stays what the
/// policy does by itself.
const SAMPLE: u32 = 1;

/// EEF that explores trajectories of its own, sampled at a high temperature in every round, in place
/// of a teacher's.
#[derive(Clone, Copy, Debug)]
pub struct EefSelf {
    /// The states to simulate along them.
    pub simulated: Simulated,
    /// The temperature of those trajectories.
    pub temperature: f32,
}

impl EefSelf {
    fn trajectories(view: &View<'_>) -> Vec<Arc<Trajectory>> {
        let stands_for_expert = |rollout: &&Arc<Trajectory>| {
            matches!(rollout.origin, Origin::Rollout { sample: SAMPLE, parent: None, .. })
        };
        view.rollouts.iter().filter(stands_for_expert).cloned().collect()
    }
}

impl Method for EefSelf {
    fn name(&self) -> &'static str {
        "eef-self"
    }

    fn settings(&self) -> String {
        format!("{}, own trajectories at {}", self.simulated.describe(), self.temperature)
    }

    fn explores(&self) -> bool {
        true
    }

    fn at_most(&self, sizes: &RoundSizes<'_>) -> RoundLimits {
        let n_tasks = sizes.n_tasks;
        let n_simulations = n_tasks * self.simulated.n_simulations;
        RoundLimits { n_rollouts: 2 * n_tasks + n_simulations, n_examples: 2 * n_tasks }
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        let hot = Sampling { temperature: self.temperature, ..view.sampling };
        Ok(match view.n_batches {
            0 => view.from_initial_states(0, view.sampling),
            1 => view.from_initial_states(SAMPLE, hot),
            2 => self.simulated.jobs(view, &Self::trajectories(view)),
            _ => Vec::new(),
        })
    }

    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
        self.simulated.training_set(view, &Self::trajectories(view))
    }
}
