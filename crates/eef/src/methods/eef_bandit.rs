//! EEF that chooses between experts (beyond the paper).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eef_core::{ExpertName, Origin, TaskId, Trajectory, TrajectoryId};

use super::eef::Simulated;
use crate::{JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View, Whose};

/// EEF with every expert at the price of one: each task's simulations go along the trajectory of a
/// single expert, and the experts are the arms of a bandit (UCB1, Auer et al. 2002) whose gain is a
/// positive per generated token.
///
/// Tasks are taken in parts; each part goes to the expert that looks best by the parts before it.
#[derive(Clone, Copy, Debug)]
pub struct EefBandit {
    /// The states to simulate along a trajectory.
    pub simulated: Simulated,
    /// Into how many parts the tasks are cut.
    pub n_parts: usize,
}

/// How many states along a trajectory were simulated.
fn n_asked(view: &View<'_>, expert: &Trajectory) -> u64 {
    let inner = expert.state_keys().into_iter().skip(1);
    inner.filter(|state| view.asked.contains(state)).count() as u64
}

/// What became of the simulations along an expert's trajectories.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Arm {
    simulations: u64,
    wins: u64,
    tokens: u64,
}

impl EefBandit {
    /// The tasks of a part, counted from 0: every `n_parts`-th, so that parts are alike.
    fn part<'a>(&self, view: &View<'a>, part: usize) -> BTreeSet<&'a TaskId> {
        view.tasks.iter().skip(part).step_by(self.n_parts.max(1)).collect()
    }

    /// The trajectories of the chosen expert in a part; where it has none for a task, another's. Tasks
    /// that were simulated along a trajectory already are left out.
    fn along(&self, view: &View<'_>, part: usize, chosen: &ExpertName) -> Vec<Arc<Trajectory>> {
        let tasks = self.part(view, part);
        let mut by_task: BTreeMap<&TaskId, &Arc<Trajectory>> = BTreeMap::new();
        let mut paid: BTreeSet<&TaskId> = BTreeSet::new();
        for expert in view.experts.iter().filter(|expert| tasks.contains(&expert.task)) {
            if n_asked(view, expert) > 0 {
                paid.insert(&expert.task);
            }
            let is_chosen = name(expert) == Some(chosen);
            let known = by_task.entry(&expert.task).or_insert(expert);
            if is_chosen && name(known) != Some(chosen) {
                *known = expert;
            }
        }
        let is_open = |(task, expert): (&TaskId, &Arc<Trajectory>)| {
            (!paid.contains(task)).then(|| Arc::clone(expert))
        };
        by_task.into_iter().filter_map(is_open).collect()
    }
}

impl Method for EefBandit {
    fn name(&self) -> &'static str {
        "eef-bandit"
    }

    fn settings(&self) -> String {
        format!("{}, {} parts", self.simulated.describe(), self.n_parts)
    }

    fn whose(&self) -> Whose {
        Whose::All
    }

    fn explores(&self) -> bool {
        true
    }

    fn at_most(&self, sizes: &RoundSizes<'_>) -> RoundLimits {
        let n_rollouts = sizes.n_tasks * (1 + self.simulated.n_simulations);
        RoundLimits { n_rollouts, n_examples: sizes.n_tasks + sizes.experts.len() }
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        if view.n_batches == 0 {
            return Ok(view.from_initial_states(0, view.sampling));
        }
        let arms = arms(view);
        let mut ranked: Vec<&ExpertName> = arms.keys().collect();
        ranked.sort_by(|a, b| score(&arms, b).total_cmp(&score(&arms, a)));
        // An expert who leaves nothing to simulate in a part gives way to the next one.
        let choices =
            (0..self.n_parts).flat_map(|part| ranked.iter().map(move |name| (part, *name)));
        let mut jobs =
            choices.map(|(part, name)| self.simulated.jobs(view, &self.along(view, part, name)));
        Ok(jobs.find(|jobs| !jobs.is_empty()).unwrap_or_default())
    }

    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
        self.simulated.training_set(view, view.experts)
    }
}

fn name(expert: &Trajectory) -> Option<&ExpertName> {
    match &expert.origin {
        Origin::Expert { name } => Some(name),
        Origin::Rollout { .. } => None,
    }
}

/// What this round's simulations say of each expert.
fn arms(view: &View<'_>) -> BTreeMap<ExpertName, Arm> {
    let names: BTreeMap<TrajectoryId, &ExpertName> =
        view.experts.iter().filter_map(|expert| Some((expert.id, name(expert)?))).collect();
    let mut arms: BTreeMap<ExpertName, Arm> =
        names.values().map(|&name| (Arc::clone(name), Arm::default())).collect();
    // What diverged was tried too, and gave nothing.
    for expert in view.experts {
        if let Some(arm) = name(expert).and_then(|name| arms.get_mut(name)) {
            arm.simulations += n_asked(view, expert);
        }
    }
    for rollout in view.rollouts {
        let Origin::Rollout { parent: Some(parent), .. } = &rollout.origin else {
            continue;
        };
        let arm = names.get(&parent.trajectory).and_then(|&name| arms.get_mut(name));
        if let Some(arm) = arm {
            let chosen = rollout.steps.iter().skip(rollout.n_replayed());
            let sampled = chosen.filter_map(|step| step.sampled.as_ref());
            arm.wins += u64::from(rollout.is_positive());
            arm.tokens += sampled.map(|tokens| tokens.ids.len() as u64).sum::<u64>();
        }
    }
    arms
}

/// The upper end of what an arm may give, in positives per generated token.
fn score(arms: &BTreeMap<ExpertName, Arm>, name: &ExpertName) -> f64 {
    let n_all: u64 = arms.values().map(|arm| arm.simulations).sum();
    match arms.get(name) {
        Some(arm) if arm.simulations > 0 => {
            let n = arm.simulations as f64;
            let tokens_per_simulation = (arm.tokens as f64 / n).max(1.0);
            let doubt = (2.0 * (n_all as f64).ln() / n).sqrt();
            (arm.wins as f64 / n + doubt) / tokens_per_simulation
        }
        // Each is tried once before any is tried twice.
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arms(of: &[(&str, u64, u64, u64)]) -> BTreeMap<ExpertName, Arm> {
        let arm = |&(name, simulations, wins, tokens): &(&str, u64, u64, u64)| {
            (name.into(), Arm { simulations, wins, tokens })
        };
        of.iter().map(arm).collect()
    }

    #[test]
    fn positives_per_token_decide_once_each_was_tried() {
        let of = |arms: &BTreeMap<ExpertName, Arm>| {
            ["strong", "weak"].map(|name| score(arms, &name.into()))
        };
        let [strong, weak] = of(&arms(&[("strong", 100, 80, 9), ("weak", 0, 0, 0)]));
        assert!(weak > strong, "untried");
        let [strong, weak] = of(&arms(&[("strong", 1000, 600, 9000), ("weak", 1000, 300, 9000)]));
        assert!(strong > weak, "more positives");
        let [strong, weak] = of(&arms(&[("strong", 1000, 600, 90_000), ("weak", 1000, 300, 9000)]));
        assert!(weak > strong, "fewer tokens");
    }
}
