//! Exploring expert failures (Algorithm 1, lines 6 to 13).

use std::collections::BTreeMap;
use std::sync::Arc;

use eef_core::{Trajectory, TrajectoryId};
use eef_rollout::Start;
use eef_select::{AnchorSchedule, EefSelection, Exploration};

use crate::{JobRequest, Method, RunError, TrainingSet, View};

/// EEF: rollouts from the initial states and from states along the experts' trajectories, won or
/// failed; every important state is taught by its solution with the fewest expert actions.
#[derive(Clone, Copy, Debug)]
pub struct Eef {
    n_simulations: usize,
    schedule: AnchorSchedule,
}

impl Eef {
    /// With `n_simulations` (the paper's `M`) simulated states per expert trajectory.
    pub fn new(n_simulations: usize, schedule: AnchorSchedule) -> Self {
        Self { n_simulations, schedule }
    }

    fn exploration<'a>(&self, view: &View<'a>) -> Exploration<'a> {
        Exploration {
            tasks: view.tasks,
            experts: view.experts,
            schedule: self.schedule,
            n_simulations: self.n_simulations,
        }
    }
}

impl Method for Eef {
    fn name(&self) -> &'static str {
        "eef"
    }

    fn settings(&self) -> String {
        format!("{} simulations, anchors {}", self.n_simulations, self.schedule.name())
    }

    fn explores(&self) -> bool {
        true
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        if view.n_batches > 0 {
            return Ok(Vec::new());
        }
        let experts: BTreeMap<TrajectoryId, &Arc<Trajectory>> =
            view.experts.iter().map(|expert| (expert.id, expert)).collect();
        let mut jobs = view.from_initial_states(&[view.sampling]);
        for simulated in self.exploration(view).simulated_states() {
            if let Some(&expert) = experts.get(&simulated.expert) {
                let n_actions = simulated.n_actions;
                jobs.push(JobRequest {
                    task: expert.task.clone(),
                    state: simulated.state,
                    start: Start::Replay { expert: Arc::clone(expert), n_actions },
                    sample: 0,
                    sampling: view.sampling,
                });
            }
        }
        Ok(jobs)
    }

    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
        let important = self.exploration(view).important_states(view.won);
        let selection = EefSelection::select(&important, |state| view.store.best_solution(state))?;
        Ok(TrainingSet {
            solutions: selection.solutions().copied().collect(),
            n_need_recover: selection.n_need_recover,
        })
    }
}
