//! What a run reports: plain values, without a clock in them.

use eef_core::TrainSummary;
use serde::{Deserialize, Serialize};

use crate::Estimate;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The method.
    pub method: String,
    /// The run's seed.
    pub seed: u64,
    /// The behaviour-cloning stages with their validation results: the learning curve that shows
    /// whether the baseline was trained enough.
    pub curve: Vec<Stage>,
    /// Every round; the first is behaviour cloning at its best stage.
    pub rounds: Vec<RoundReport>,
    /// The best round by validation.
    pub best_round: u32,
    /// Directory of its model, relative to the directory that holds the models; in a comparison
    /// round 1's model lies beside, because methods share it.
    pub best_model: String,
    /// Round 1's model on the test tasks (SFT pos, unless the method imitates everything).
    pub test_of_imitation: Evaluation,
    /// The best round's model on the test tasks.
    pub test: Evaluation,
}

/// A stage of behaviour cloning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its number, from 1.
    pub stage: usize,
    /// Epochs up to its end.
    pub n_epochs: usize,
    /// Its training.
    pub training: Training,
    /// Its model on the validation tasks.
    pub validation: Evaluation,
}

/// A round of Algorithm 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundReport {
    /// Its number, from 1.
    pub round: u32,
    /// Rollouts asked for.
    pub n_simulations: usize,
    /// Those whose replay diverged from the expert's record.
    pub n_diverged: usize,
    /// Those that met an environment error.
    pub n_environment_errors: usize,
    /// Those that solved their task.
    pub n_won: usize,
    /// Tokens that the policy sampled in them.
    pub n_generated_tokens: u64,
    /// Solutions of initial states, or whole trajectories of a baseline.
    pub n_initial: usize,
    /// Training tasks of which a whole trajectory is trained.
    pub n_solved_tasks: usize,
    /// States that need recovery.
    pub n_need_recover: usize,
    /// Those with a solution.
    pub n_recoveries: usize,
    /// The training.
    pub training: Training,
    /// The model on the validation tasks.
    pub validation: Evaluation,
    /// Directory of the model, relative to the directory that holds the models.
    pub model: String,
}

impl RoundReport {
    /// The round in a line.
    pub(crate) fn line(&self) -> String {
        let percent = 100.0 * self.validation.win_rate.mean;
        format!(
            "round {}: {} simulations, {} won; {} tasks solved, {} of {} recoveries; {} examples; \
             validation {percent:.1} % won, reward {:.3}",
            self.round,
            self.n_simulations,
            self.n_won,
            self.n_solved_tasks,
            self.n_recoveries,
            self.n_need_recover,
            self.training.n_examples,
            self.validation.reward.mean,
        )
    }
}

/// What a training did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Trajectories with their first trained action.
    pub n_examples: usize,
    /// Passes over them.
    pub n_epochs: usize,
    /// Optimiser steps.
    pub n_steps: u64,
    /// Tokens that went through the model.
    pub n_tokens: u64,
    /// Tokens that carried loss.
    pub n_trained_tokens: u64,
    /// Mean loss per trained token (nats) of each epoch.
    pub epoch_losses: Vec<f64>,
}

impl Training {
    pub(crate) fn new(n_examples: usize, n_epochs: usize, summary: TrainSummary) -> Self {
        let TrainSummary { n_steps, n_tokens, n_trained_tokens, epoch_losses } = summary;
        Self { n_examples, n_epochs, n_steps, n_tokens, n_trained_tokens, epoch_losses }
    }
}

/// A model on the tasks of a split: greedy, one rollout per task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The split's name.
    pub split: String,
    /// Tasks with an outcome.
    pub n_tasks: usize,
    /// Tasks without one, because the environment failed; they are in no mean.
    pub n_environment_errors: usize,
    /// Share of tasks solved.
    pub win_rate: Estimate,
    /// Mean reward.
    pub reward: Estimate,
    /// Episodes cut off at the turn limit.
    pub n_turn_limit: usize,
    /// Episodes that outgrew the model's context.
    pub n_context_full: usize,
    /// Mean number of actions.
    pub mean_actions: f64,
    /// Tokens that the policy sampled.
    pub n_generated_tokens: u64,
    /// How often each skill was used, and with what success.
    pub skills: Vec<SkillUse>,
    /// Each task's reward, `None` where the environment failed.
    pub rewards: Vec<Option<f64>>,
}

impl Evaluation {
    /// What decides between models: the win rate, then the reward.
    pub fn rank(&self) -> (f64, f64) {
        (self.win_rate.mean, self.reward.mean)
    }

    /// Whether it is better than another.
    pub fn is_better_than(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }
}

/// The use of a skill (Table 4's attempt and success).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SkillUse {
    /// Its name.
    pub name: String,
    /// Share of all tasks in which it was used.
    pub tried: f64,
    /// Share of all tasks in which it was used and the task solved.
    pub won: f64,
}
