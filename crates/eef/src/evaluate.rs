//! Evaluation: greedy, one rollout per task of a split.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eef_core::{
    Control, EpisodeEnd, Sampling, Seed, Split, StateKey, TaskId, Trajectory, TrajectoryId,
};
use eef_rollout::Start;
use eef_store::TrajectoryStore;

use crate::bench::{Bench, Model, Outcomes, tasks};
use crate::{
    ActionUse, Config, Estimate, Evaluation, JobRequest, RunError, Setup, Skill, SkillUse,
};

/// Evaluates a model on a split. `identity` stands for the model in the ids of its rollouts: a
/// digest of its weights, never a path.
///
/// # Errors
/// [`RunError`]; what was rolled out until then is in the store and not repeated.
/// [`RunError::StoreOfRun`] on training tasks where the store is a run's: what is in it is trained.
pub fn evaluate(
    setup: &Setup<'_>,
    config: &Config,
    model: &Path,
    identity: &str,
    split: Split,
    store: &dyn TrajectoryStore,
    control: &Control<'_>,
) -> Result<Evaluation, RunError> {
    config.check()?;
    if split == Split::Train && store.record("settings/seed")?.is_some() {
        return Err(RunError::StoreOfRun);
    }
    let lineage = TrajectoryId::derive(&[
        b"evaluated model",
        setup.fingerprint.as_bytes(),
        identity.as_bytes(),
    ]);
    let model = Model { path: model.to_path_buf(), name: String::new(), lineage };
    Bench::bare(setup, config, store, control).evaluate(&model, 1, split)
}

impl Bench<'_> {
    /// Evaluates a round's model, or finds the rollouts in the store.
    pub(crate) fn evaluate(
        &self,
        model: &Model,
        round: u32,
        split: Split,
    ) -> Result<Evaluation, RunError> {
        let mut tasks = tasks(self.setup, split)?;
        let limit = match split {
            Split::Train => self.config.n_train_tasks,
            Split::Validation => self.config.evaluation.n_validation,
            Split::Test => self.config.evaluation.n_test,
        };
        if limit > 0 {
            tasks.truncate(limit);
        }
        let request = |task: &TaskId| JobRequest {
            task: task.clone(),
            state: StateKey::initial(task),
            start: Start::Initial,
            sample: 0,
            sampling: Sampling::GREEDY,
        };
        let jobs = self.jobs(model, round, tasks.iter().map(request).collect());
        let phase = match model.name.as_str() {
            "" => format!("evaluate on {split}"),
            name => format!("evaluate {name} on {split}"),
        };
        let outcomes = self.run(&phase, model, jobs)?;
        if outcomes.trajectories.is_empty() {
            return Err(RunError::NoOutcome { split });
        }
        let settings = &self.config.evaluation;
        Ok(summarise(&outcomes, &tasks, split, self.setup, settings.n_resamples))
    }
}

fn summarise(
    outcomes: &Outcomes,
    tasks: &[TaskId],
    split: Split,
    setup: &Setup<'_>,
    n_resamples: usize,
) -> Evaluation {
    let trajectories: Vec<&Trajectory> = outcomes.trajectories.iter().map(AsRef::as_ref).collect();
    let by_task: BTreeMap<&TaskId, &Trajectory> =
        trajectories.iter().map(|trajectory| (&trajectory.task, *trajectory)).collect();
    let reward = |task: &TaskId| by_task.get(task).map(|found| found.outcome.reward.get());
    let rewards: Vec<Option<f64>> = tasks.iter().map(reward).collect();
    let known: Vec<f64> = rewards.iter().flatten().copied().collect();
    let n_won = known.iter().filter(|&&reward| reward == 1.0).count();
    let n_ended = |end| trajectories.iter().filter(|found| found.outcome.end == end).count();
    let share = |n: usize| n as f64 / trajectories.len().max(1) as f64;
    // The interval's randomness is its own: it depends on nothing that it measures.
    let seed = Seed::new(0).derive("bootstrap over tasks", 0);
    Evaluation {
        split: split.to_string(),
        n_tasks: known.len(),
        n_environment_errors: tasks.len() - known.len(),
        win_rate: Estimate::share(n_won, known.len()),
        reward: Estimate::of(&known, n_resamples, seed),
        n_turn_limit: n_ended(EpisodeEnd::TurnLimit),
        n_context_full: n_ended(EpisodeEnd::ContextFull),
        mean_actions: share(trajectories.iter().map(|found| found.n_actions()).sum()),
        n_generated_tokens: outcomes.n_generated_tokens(),
        skills: setup.skills.iter().map(|skill| skill_use(skill, &trajectories)).collect(),
        actions: action_uses(setup, &trajectories),
        rewards,
    }
}

fn action_uses(setup: &Setup<'_>, trajectories: &[&Trajectory]) -> BTreeMap<String, ActionUse> {
    let mut uses = BTreeMap::<String, ActionUse>::new();
    for trajectory in trajectories {
        let names = trajectory.steps.iter().filter_map(|step| (setup.action_name)(&step.action));
        for name in names.collect::<BTreeSet<_>>() {
            let found = uses.entry(name).or_default();
            found.n_tasks += 1;
            found.n_won += usize::from(trajectory.is_positive());
        }
    }
    uses
}

fn skill_use(skill: &Skill, trajectories: &[&Trajectory]) -> SkillUse {
    let tried = trajectories.iter().filter(|trajectory| skill.is_in(trajectory));
    let (n_tried, n_won) = tried.fold((0_usize, 0_usize), |(n_tried, n_won), trajectory| {
        (n_tried + 1, n_won + usize::from(trajectory.is_positive()))
    });
    let share = |n: usize| n as f64 / trajectories.len().max(1) as f64;
    SkillUse { name: skill.name().to_owned(), tried: share(n_tried), won: share(n_won) }
}
