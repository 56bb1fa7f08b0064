//! Exploring expert failures (Algorithm 1, lines 6 to 13).

use std::sync::Arc;

use eef_core::Trajectory;
use eef_select::{AnchorSchedule, Candidate, EefSelection, Exploration, ImportantState};

use super::eef_likelihood::likeliest;
use crate::{
    ExpertSize, JobRequest, Method, RoundLimits, RoundSizes, RunError, TrainingSet, View, Whose,
};

/// EEF: rollouts from the initial states and from states along the experts' trajectories, won or
/// failed; every important state is taught by its solution with the fewest expert actions.
#[derive(Clone, Debug)]
pub struct Eef {
    name: String,
    simulated: Simulated,
    whose: Whose,
    tie: Tie,
}

/// Which of the solutions with the fewest expert actions is taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tie {
    /// That of the newest round, whose policy is the closest one.
    #[default]
    Newest,
    /// The one that the policy finds likeliest (A.3's wording).
    Likelihood,
}

impl Tie {
    /// Both, by their names in configurations.
    pub const ALL: [(&'static str, Self); 2] =
        [("newest", Self::Newest), ("likelihood", Self::Likelihood)];
}

/// Which states along an expert's trajectory are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// How many per trajectory and round (the paper's `M`).
    pub n_simulations: usize,
    /// Where they lie.
    pub schedule: AnchorSchedule,
}

impl Simulated {
    /// The setting in words.
    pub(super) fn describe(self) -> String {
        format!("{} simulations, anchors {}", self.n_simulations, self.schedule.name())
    }

    /// At most: states that two trajectories share are simulated once.
    pub(super) fn at_most(self, n_tasks: usize, experts: &[ExpertSize]) -> RoundLimits {
        let n_states =
            |expert: &ExpertSize| self.schedule.anchors(expert.n_actions, self.n_simulations).len();
        RoundLimits {
            n_rollouts: n_tasks + experts.iter().map(n_states).sum::<usize>(),
            // A solution for every task, and one recovery for every expert trajectory.
            n_examples: n_tasks + experts.len(),
        }
    }

    fn exploration<'a>(self, view: &View<'a>, experts: &'a [Arc<Trajectory>]) -> Exploration<'a> {
        let Self { n_simulations, schedule } = self;
        Exploration { tasks: view.tasks, experts, schedule, n_simulations }
    }

    /// A rollout from every simulated state (line 9).
    pub(super) fn jobs(self, view: &View<'_>, experts: &[Arc<Trajectory>]) -> Vec<JobRequest> {
        let states = self.exploration(view, experts).simulated_states();
        // States come in the order of their experts, so that one look goes over both.
        let mut experts = experts.iter();
        let mut current: Option<&Arc<Trajectory>> = None;
        let mut jobs = Vec::with_capacity(states.len());
        for simulated in states {
            while current.is_none_or(|expert| expert.id != simulated.expert) {
                let Some(next) = experts.next() else {
                    return jobs;
                };
                current = Some(next);
            }
            let expert = current.map(Arc::clone);
            jobs.extend(expert.map(|expert| view.from_state(expert, simulated.n_actions)));
        }
        jobs
    }

    /// The states for which a solution is sought (lines 11 and 12).
    pub(super) fn important_states(self, view: &View<'_>) -> Vec<ImportantState> {
        self.exploration(view, view.experts).important_states(view.won)
    }

    /// A solution for every important state that has one (lines 11 to 13).
    pub(super) fn training_set(
        self,
        view: &View<'_>,
        experts: &[Arc<Trajectory>],
    ) -> Result<TrainingSet, RunError> {
        let important = self.exploration(view, experts).important_states(view.won);
        let selection = EefSelection::select(&important, |state| view.store.best_solution(state))?;
        Ok(TrainingSet {
            n_need_recover: selection.n_need_recover,
            ..TrainingSet::of(selection.solutions().copied().collect())
        })
    }
}

impl Eef {
    /// A method of that name.
    pub fn new(name: impl Into<String>, simulated: Simulated, whose: Whose) -> Self {
        Self { name: name.into(), simulated, whose, tie: Tie::default() }
    }

    /// The same with another way to decide between equals.
    #[must_use]
    pub fn with_tie(self, tie: Tie) -> Self {
        Self { tie, ..self }
    }
}

impl Method for Eef {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self) -> String {
        let simulated = self.simulated.describe();
        match self.tie {
            Tie::Newest => simulated,
            Tie::Likelihood => format!("{simulated}, ties by likelihood"),
        }
    }

    fn whose(&self) -> Whose {
        self.whose
    }

    fn explores(&self) -> bool {
        true
    }

    fn at_most(&self, sizes: &RoundSizes<'_>) -> RoundLimits {
        self.simulated.at_most(sizes.n_tasks, &sizes.seen_by(self.whose))
    }

    fn next_jobs(&self, view: &View<'_>) -> Result<Vec<JobRequest>, RunError> {
        Ok(match view.n_batches {
            0 => view.from_initial_states(0, view.sampling),
            1 => self.simulated.jobs(view, view.experts),
            _ => Vec::new(),
        })
    }

    fn training_set(&self, view: &View<'_>) -> Result<TrainingSet, RunError> {
        match self.tie {
            Tie::Newest => self.simulated.training_set(view, view.experts),
            Tie::Likelihood => likeliest(view, &self.simulated.important_states(view), |all| {
                let fewest = all.iter().map(|candidate| candidate.n_expert_actions).min();
                let is_tied = |one: &&Candidate| Some(one.n_expert_actions) == fewest;
                all.iter().filter(is_tied).copied().collect()
            }),
        }
    }
}
