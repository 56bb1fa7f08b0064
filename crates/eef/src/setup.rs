//! What a run works with.

use std::path::Path;
use std::sync::Arc;

use eef_core::{Action, Environment, Learner, Opening, OutcomeLabel, Trajectory};
use eef_rollout::RolloutConfig;

/// The parts that a run joins. None of them knows of another.
#[derive(Clone)]
pub struct Setup<'a> {
    /// Where episodes take place.
    pub environment: &'a dyn Environment,
    /// The first user message of an episode, announcing an outcome where one is given; training
    /// must use the same.
    pub opening: &'a (dyn Fn(&Opening, Option<OutcomeLabel>) -> String + Sync),
    /// What trains models and opens policies on them.
    pub learner: &'a dyn Learner,
    /// Directory of the base model.
    pub base: &'a Path,
    /// Expert trajectories, won and failed; those on other than the training tasks are ignored.
    pub experts: &'a [Arc<Trajectory>],
    /// What evaluations count.
    pub skills: &'a [Skill],
    /// The name under which evaluations count an action; those without one are not counted, as
    /// where no two tasks have an action in common.
    pub action_name: &'a (dyn Fn(&Action) -> Option<String> + Sync),
    /// A digest of whatever else determines results: the base model, the data, the engine's
    /// settings. Never a path. It enters every id, so that no result is mistaken for another's.
    pub fingerprint: &'a str,
    /// Policies that roll out side by side. Results do not depend on it.
    pub n_workers: usize,
    /// How rollouts are run.
    pub rollouts: RolloutConfig,
}

/// Something that a trajectory may make use of, such as WebShop's Next.
#[derive(Clone)]
pub struct Skill {
    name: String,
    is_used_by: Arc<dyn Fn(&Action) -> bool + Send + Sync>,
}

impl Skill {
    /// A trajectory uses it where one of its actions satisfies the predicate.
    pub fn new(
        name: impl Into<String>,
        is_used_by: impl Fn(&Action) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), is_used_by: Arc::new(is_used_by) }
    }

    /// Its name in tables.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a trajectory uses it.
    pub fn is_in(&self, trajectory: &Trajectory) -> bool {
        trajectory.steps.iter().any(|step| (self.is_used_by)(&step.action))
    }
}
