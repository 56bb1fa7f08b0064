//! EEF whose simulations go where they tell most (beyond the paper).

use std::collections::BTreeSet;
use std::sync::Arc;

use eef_core::Trajectory;
use eef_select::{Probe, next_probe};

use super::eef::Simulated;
use crate::{JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View};

/// EEF on the same states as the paper's, of which only those are simulated whose outcome is in
/// doubt: one after the other, halving the way between a success and a failure
/// ([`next_probe`]). What is trained is selected as in EEF.
#[derive(Clone, Copy, Debug)]
pub struct EefAdaptive {
    /// The states to choose from.
    pub simulated: Simulated,
    /// States tried on a trajectory that failed and on which nothing is known to succeed.
    pub n_blind: usize,
}

impl Method for EefAdaptive {
    fn name(&self) -> &'static str {
        "eef-adaptive"
    }

    fn settings(&self) -> String {
        format!("{}, halving, {} blind", self.simulated.describe(), self.n_blind)
    }

    fn explores(&self) -> bool {
        true
    }

    fn at_most(&self, sizes: &RoundSizes<'_>) -> RoundLimits {
        self.simulated.at_most(sizes.n_tasks, &sizes.seen_by(self.whose()))
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        if view.n_batches == 0 {
            return Ok(view.from_initial_states(0, view.sampling));
        }
        let mut seen = BTreeSet::new();
        let jobs = view
            .experts
            .iter()
            .filter_map(|expert| next_in_doubt(self.simulated, self.n_blind, view, expert));
        Ok(jobs.filter(|job| seen.insert(job.state)).collect())
    }

    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
        self.simulated.training_set(view, view.experts)
    }
}

/// The next state along an expert's trajectory whose outcome is in doubt, among those that `simulated`
/// names.
pub(super) fn next_in_doubt(
    simulated: Simulated,
    n_blind: usize,
    view: &View<'_>,
    expert: &Arc<Trajectory>,
) -> Option<JobRequest> {
    let keys = expert.state_keys();
    let Simulated { n_simulations, schedule } = simulated;
    let probes = schedule
        .anchors(expert.n_actions(), n_simulations)
        .into_iter()
        .map(|n_actions| Probe { n_actions, won: view.won.get(&keys[n_actions]).copied() });
    // What was asked for and has no outcome says nothing, however often it is asked for.
    let probes: Vec<Probe> = probes
        .filter(|probe| probe.won.is_some() || !view.asked.contains(&keys[probe.n_actions]))
        .collect();
    let initial = view.won.get(&keys[0]).copied();
    let n_actions = next_probe(initial, &probes, expert.is_positive(), n_blind)?;
    Some(view.from_state(Arc::clone(expert), n_actions))
}
