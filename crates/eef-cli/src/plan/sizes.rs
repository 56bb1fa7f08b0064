//! What estimates rest on: counted in the files where they are there, assumed elsewhere.

use std::fmt;
use std::sync::Arc;

use eef::{ExpertSize, Imitation, experts_on, imitated};
use eef_chat::{Encoder, PromptTemplate, messages_of};
use eef_core::{Environment, Origin, Split, TaskId, Trajectory};
use serde::Serialize;

use super::inputs::Inputs;
use crate::config::Config;
use crate::output::count;
use crate::wiring;

/// Trajectories whose tokens are counted, at most: means need no more.
const N_COUNTED: usize = 1000;

/// The sizes of a run; `assumed` lists what comes from `[plan]`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Sizes {
    pub(super) n_train: usize,
    pub(super) n_validation: usize,
    pub(super) n_test: usize,
    /// Expert trajectories on training tasks.
    pub(super) n_experts: usize,
    /// Those that round 1 imitates.
    pub(super) n_imitated: usize,
    pub(super) positive_share: f64,
    pub(super) actions: f64,
    /// Tokens that an episode's policy reads, template included.
    pub(super) read_tokens: f64,
    /// Tokens that it says, each end of turn included.
    pub(super) said_tokens: f64,
    #[serde(skip)]
    pub(super) experts: Vec<ExpertSize>,
    pub(super) n_parameters: f64,
    pub(super) assumed: Vec<Assumption>,
}

/// A key of `[plan]` that an estimate rests on, with its value.
#[derive(Debug, Serialize)]
pub(super) struct Assumption {
    key: &'static str,
    value: f64,
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            value if value >= 1e6 => write!(f, "{} = {}", self.key, count(value.round() as u64)),
            value => write!(f, "{} = {value}", self.key),
        }
    }
}

impl Sizes {
    /// Counts, and assumes the rest.
    pub(super) fn of(
        config: &Config,
        imitation: Imitation,
        inputs: &Inputs,
    ) -> anyhow::Result<Self> {
        let mut sizes = Self::default();
        let tasks = sizes.count_tasks(config, inputs);
        let experts = inputs.experts.as_ref().filter(|_| inputs.teachers.is_empty());
        let experts = experts.map(|all| match &inputs.world {
            Some(_) => experts_on(&tasks, all),
            None => all.clone(),
        });
        if let Some(all) = experts.as_ref().or(inputs.experts.as_ref()) {
            let names = imitated(&[], all)?;
            let teachers = inputs.teachers.iter().map(String::as_str);
            wiring::check_names(config, names.iter().map(AsRef::as_ref).chain(teachers))?;
        }
        match &experts {
            Some(experts) => sizes.count_experts(config, imitation, experts)?,
            None => sizes.assume_experts(config, imitation, &tasks, inputs),
        }
        match (&inputs.model, &experts) {
            (Some((_, encoder)), Some(experts)) => {
                sizes.count_tokens(wiring::prompt(config)?, encoder, experts)?;
            }
            _ => sizes.assume_tokens(config),
        }
        sizes.n_parameters = match (inputs.shape(), &inputs.model) {
            (Some(shape), Some(_)) => shape.n_parameters() as f64,
            (Some(shape), None) => sizes.assume("n_parameters", shape.n_parameters() as f64),
            (None, _) => sizes.assume("n_parameters", config.plan.n_parameters),
        };
        sizes.assume("gigaflops", config.plan.gigaflops);
        let per_parameter = config.plan.bytes_per_trained_parameter;
        sizes.assume("bytes_per_trained_parameter", per_parameter);
        Ok(sizes)
    }

    fn assume(&mut self, key: &'static str, value: f64) -> f64 {
        self.assumed.push(Assumption { key, value });
        value
    }

    /// Gives the training tasks, where the data is there.
    fn count_tasks(&mut self, config: &Config, inputs: &Inputs) -> Vec<TaskId> {
        let (data, plan) = (&config.data, &config.plan);
        let mut n_tasks = |split, key, assumed: usize, most: usize| {
            let n = match &inputs.world {
                Some(world) => world.tasks(split).len(),
                None => self.assume(key, assumed as f64) as usize,
            };
            if most > 0 { n.min(most) } else { n }
        };
        let n_train =
            n_tasks(Split::Train, "n_train_tasks", plan.n_train_tasks, data.n_train_tasks);
        let n_validation = n_tasks(
            Split::Validation,
            "n_validation_tasks",
            plan.n_validation_tasks,
            data.n_validation_tasks,
        );
        let n_test = n_tasks(Split::Test, "n_test_tasks", plan.n_test_tasks, data.n_test_tasks);
        (self.n_train, self.n_validation, self.n_test) = (n_train, n_validation, n_test);
        inputs.world.as_ref().map_or_else(Vec::new, |world| wiring::training_tasks(config, world))
    }

    fn count_experts(
        &mut self,
        config: &Config,
        imitation: Imitation,
        experts: &[Arc<Trajectory>],
    ) -> anyhow::Result<()> {
        let sum = |of: &dyn Fn(&Trajectory) -> usize| -> usize {
            experts.iter().map(|expert| of(expert)).sum()
        };
        let n = experts.len().max(1) as f64;
        self.n_experts = experts.len();
        self.n_imitated = wiring::n_imitated(config, experts, imitation)?;
        self.positive_share = sum(&|expert| expert.is_positive().into()) as f64 / n;
        self.actions = sum(&Trajectory::n_actions) as f64 / n;
        let named = imitated(&config.data.bc_experts, experts)?;
        let size = |expert: &Arc<Trajectory>| ExpertSize {
            n_actions: expert.n_actions(),
            is_imitated: matches!(&expert.origin, Origin::Expert { name } if named.contains(name)),
        };
        self.experts = experts.iter().map(size).collect();
        Ok(())
    }

    fn assume_experts(
        &mut self,
        config: &Config,
        imitation: Imitation,
        tasks: &[TaskId],
        inputs: &Inputs,
    ) {
        let plan = &config.plan;
        // A scripted teacher tries every training task once.
        self.n_experts = match &inputs.experts {
            Some(files) if inputs.world.is_some() => {
                experts_on(tasks, files).len() + inputs.teachers.len() * self.n_train
            }
            Some(files) if files.is_empty() => inputs.teachers.len() * self.n_train,
            _ => {
                let n = plan.n_expert_trajectories;
                self.assume("n_expert_trajectories", n as f64) as usize
            }
        };
        self.positive_share = self.assume("positive_share", plan.positive_share);
        self.actions = self.assume("actions_per_episode", plan.actions_per_episode);
        self.n_imitated = match imitation {
            Imitation::Positives => (self.n_experts as f64 * self.positive_share).round() as usize,
            Imitation::Everything | Imitation::Announced => self.n_experts,
        };
        let n_actions = self.actions.ceil() as usize;
        // Whose they are is not known: all are taken for experts that the baselines may use.
        self.experts = vec![ExpertSize { n_actions, is_imitated: true }; self.n_experts];
    }

    fn count_tokens(
        &mut self,
        prompt: PromptTemplate,
        encoder: &Encoder,
        experts: &[Arc<Trajectory>],
    ) -> anyhow::Result<()> {
        let (mut n, mut n_tokens, mut n_said) = (0, 0, 0);
        for expert in experts.iter().step_by(experts.len().div_ceil(N_COUNTED).max(1)) {
            let mut conversation = encoder.start();
            for message in messages_of(expert, prompt) {
                encoder.push(&mut conversation, &message)?;
            }
            n += 1;
            n_tokens += conversation.len();
            n_said += conversation.replies().iter().map(ExactSizeIterator::len).sum::<usize>();
        }
        self.said_tokens = n_said as f64 / f64::from(n.max(1));
        self.read_tokens = (n_tokens - n_said) as f64 / f64::from(n.max(1));
        Ok(())
    }

    fn assume_tokens(&mut self, config: &Config) {
        let plan = &config.plan;
        let prompt = self.assume("prompt_tokens", plan.prompt_tokens);
        let observation = self.assume("observation_tokens", plan.observation_tokens);
        let reply = self.assume("reply_tokens", plan.reply_tokens);
        self.read_tokens = prompt + self.actions * observation;
        self.said_tokens = self.actions * reply;
    }
}
