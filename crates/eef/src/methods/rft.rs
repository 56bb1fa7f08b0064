//! Rejection-sampling fine-tuning, balanced over tasks (DART-Uniform).

use eef_core::Sampling;
use eef_select::{dart_uniform, rejection_all};

use crate::{JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View};

/// RFT: rollouts from the initial states alone; what wins is trained.
#[derive(Clone, Debug)]
pub struct Rft {
    name: String,
    temperatures: Vec<f32>,
    n_per_task: usize,
}

impl Rft {
    /// One rollout per task for each temperature (a single one at the run's temperature where
    /// there is none), and `n_per_task` distinct positives per solved task to train on, 0 for all.
    pub fn new(name: impl Into<String>, temperatures: Vec<f32>, n_per_task: usize) -> Self {
        Self { name: name.into(), temperatures, n_per_task }
    }
}

impl Method for Rft {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self) -> String {
        format!("temperatures {:?}, {} positives per task", self.temperatures, self.n_per_task)
    }

    fn explores(&self) -> bool {
        true
    }

    fn at_most(&self, sizes: &RoundSizes<'_>) -> RoundLimits {
        let n_rollouts = sizes.n_tasks * self.temperatures.len().max(1);
        // Every positive there can be, and so many of each task.
        let n_positives = sizes.n_positives + (sizes.round as usize - 1) * n_rollouts;
        let n_examples = match self.n_per_task {
            0 => n_positives,
            n_per_task => n_positives.min(sizes.n_tasks * n_per_task),
        };
        RoundLimits { n_rollouts, n_examples }
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        // A batch for each sample, so that more samples begin with the very rollouts of fewer.
        let temperature = match self.temperatures.get(view.n_batches) {
            Some(&temperature) => temperature,
            None if self.temperatures.is_empty() && view.n_batches == 0 => {
                view.sampling.temperature
            }
            None => return Ok(Vec::new()),
        };
        let sampling = Sampling { temperature, ..view.sampling };
        Ok(view.from_initial_states(view.n_batches as u32, sampling))
    }

    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
        let positives = view.positives()?;
        Ok(TrainingSet::of(match self.n_per_task {
            0 => rejection_all(&positives),
            n_per_task => {
                let seed = view.seed.derive("positives of a task", 0);
                dart_uniform(&positives, n_per_task, seed)
            }
        }))
    }
}
