//! Rejection-sampling fine-tuning, balanced over tasks (DART-Uniform).

use eef_core::Sampling;
use eef_select::{dart_uniform, rejection_all};

use crate::{JobRequest, Method, RunError, TrainingSet, View};

/// RFT: rollouts from the initial states alone; what wins is trained.
#[derive(Clone, Debug)]
pub struct Rft {
    name: &'static str,
    temperatures: Vec<f32>,
    n_per_task: usize,
}

impl Rft {
    /// One rollout per task for each temperature (a single one at the run's temperature where
    /// there is none), and `n_per_task` distinct positives per solved task to train on, 0 for all.
    pub fn new(name: &'static str, temperatures: Vec<f32>, n_per_task: usize) -> Self {
        Self { name, temperatures, n_per_task }
    }
}

impl Method for Rft {
    fn name(&self) -> &'static str {
        self.name
    }

    fn settings(&self) -> String {
        format!("temperatures {:?}, {} positives per task", self.temperatures, self.n_per_task)
    }

    fn explores(&self) -> bool {
        true
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        if view.n_batches > 0 {
            return Ok(Vec::new());
        }
        let at = |&temperature: &f32| Sampling { temperature, ..view.sampling };
        let mut samplings: Vec<Sampling> = self.temperatures.iter().map(at).collect();
        if samplings.is_empty() {
            samplings.push(view.sampling);
        }
        Ok(view.from_initial_states(&samplings))
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
