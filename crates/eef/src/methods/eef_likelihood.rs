//! EEF that teaches what the policy finds likeliest (beyond the paper).

use std::collections::BTreeMap;
use std::sync::Arc;

use eef_core::{Trajectory, TrajectoryId};
use eef_select::{Candidate, ImportantState, Repository, Solution};

use super::eef::Simulated;
use crate::{JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View};

/// EEF in which an important state is taught by the solution that is closest to the policy: the one
/// whose trained actions it finds likeliest, token by token, whoever chose them. In EEF the one with
/// the fewest expert actions stands for that. Every solution of every important state is scored for it,
/// which no table of costs counts: a forward pass each.
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
        likeliest(view, &self.simulated.important_states(view), <[Candidate]>::to_vec)
    }
}

/// For every important state the solution that the policy finds likeliest, among those that `among`
/// leaves of a state's; of equals the smaller id, as in EEF.
pub(super) fn likeliest(
    view: &View<'_>,
    important: &[ImportantState],
    among: impl Fn(&[Candidate]) -> Vec<Candidate>,
) -> Result<TrainingSet, RunError> {
    let positives = view.positives()?;
    let repository = Repository::new(positives.iter().map(AsRef::as_ref));
    let by_id: BTreeMap<TrajectoryId, &Arc<Trajectory>> =
        positives.iter().map(|positive| (positive.id, positive)).collect();
    // Every solution of every state, and where those of a state end.
    let (mut solutions, mut ends) = (Vec::new(), Vec::new());
    for important in important {
        let candidates = among(repository.candidates(&important.state));
        solutions.extend(candidates.into_iter().map(|candidate| Solution {
            state: important.state,
            trajectory: candidate.trajectory,
            train_from: important.n_actions,
        }));
        ends.push(solutions.len());
    }
    let item = |solution: &Solution| {
        Some((Arc::clone(by_id.get(&solution.trajectory)?), solution.train_from))
    };
    let items: Vec<_> = solutions.iter().filter_map(item).collect();
    let likelihoods = (view.likelihoods)(&items)?;
    if likelihoods.len() != solutions.len() {
        let (found, expected) = (likelihoods.len(), solutions.len());
        return Err(RunError::Likelihoods { found, expected });
    }
    let scored: Vec<(Solution, f64)> = solutions.into_iter().zip(likelihoods).collect();
    let mut start = 0;
    let mut chosen = Vec::with_capacity(important.len());
    for end in ends {
        let best = scored[start..end].iter().max_by(|(a, likelihood_a), (b, likelihood_b)| {
            likelihood_a.total_cmp(likelihood_b).then_with(|| b.trajectory.cmp(&a.trajectory))
        });
        chosen.extend(best.map(|(solution, _)| *solution));
        start = end;
    }
    let n_need_recover = important.iter().filter(|important| important.n_actions > 0).count();
    Ok(TrainingSet { n_need_recover, ..TrainingSet::of(chosen) })
}
