//! EEF that teaches what the policy finds likeliest (beyond the paper).

use std::collections::BTreeMap;
use std::sync::Arc;

use eef_core::{Trajectory, TrajectoryId};
use eef_select::{Repository, Solution};

use super::eef::Simulated;
use crate::{JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View};

/// EEF in which an important state is taught by the solution that is closest to the policy: the one
/// whose trained actions it finds likeliest, token by token, whoever chose them. In EEF the one with
/// the fewest expert actions stands for that.
#[derive(Clone, Copy, Debug)]
pub struct EefLikelihood {
    /// The states to simulate.
    pub simulated: Simulated,
}

impl Method for EefLikelihood {
    fn name(&self) -> &'static str {
        "eef-likelihood"
    }

    fn settings(&self) -> String {
        format!("{}, likeliest solution", self.simulated.describe())
    }

    fn explores(&self) -> bool {
        true
    }

    fn at_most(&self, sizes: &RoundSizes<'_>) -> RoundLimits {
        self.simulated.at_most(sizes.n_tasks, &sizes.seen_by(self.whose()))
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        Ok(match view.n_batches {
            0 => view.from_initial_states(0, view.sampling),
            1 => self.simulated.jobs(view, view.experts),
            _ => Vec::new(),
        })
    }

    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
        let positives = view.positives()?;
        let repository = Repository::new(positives.iter().map(AsRef::as_ref));
        let by_id: BTreeMap<TrajectoryId, &Arc<Trajectory>> =
            positives.iter().map(|positive| (positive.id, positive)).collect();
        let important = self.simulated.important_states(view);
        // Every solution of every state, and where those of a state end.
        let (mut solutions, mut ends) = (Vec::new(), Vec::new());
        for important in &important {
            let candidates = repository.candidates(&important.state).iter();
            solutions.extend(candidates.map(|candidate| Solution {
                state: important.state,
                trajectory: candidate.trajectory,
                train_from: important.n_actions,
            }));
            ends.push(solutions.len());
        }
        let items: Vec<_> = solutions
            .iter()
            .filter_map(|solution| {
                Some((Arc::clone(by_id.get(&solution.trajectory)?), solution.train_from))
            })
            .collect();
        let likelihoods = (view.likelihoods)(&items)?;
        let scored: Vec<(Solution, f64)> = solutions.into_iter().zip(likelihoods).collect();
        let mut start = 0;
        let mut chosen = Vec::with_capacity(important.len());
        for end in ends {
            let best = scored[start..end].iter().max_by(|(a, likelihood_a), (b, likelihood_b)| {
                // Of equals the smaller id, as in EEF.
                likelihood_a.total_cmp(likelihood_b).then_with(|| b.trajectory.cmp(&a.trajectory))
            });
            chosen.extend(best.map(|(solution, _)| *solution));
            start = end;
        }
        let n_need_recover = important.iter().filter(|important| important.n_actions > 0).count();
        Ok(TrainingSet { n_need_recover, ..TrainingSet::of(chosen) })
    }
}
