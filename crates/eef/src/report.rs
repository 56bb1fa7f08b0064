//! What a run reports: plain values, without a clock in them.

use std::collections::BTreeMap;

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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Trajectories with their first trained action, or pairs.
    pub n_examples: usize,
    /// Passes over them.
    pub n_epochs: usize,
    /// Optimiser steps.
    pub n_steps: u64,
    /// Tokens that went through the model.
    pub n_tokens: u64,
    /// Tokens that carried loss.
    pub n_trained_tokens: u64,
    /// Mean loss per trained token (nats), or per pair, of each epoch.
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
    /// How often each action was used that the set-up names.
    #[serde(default)]
    pub actions: BTreeMap<String, ActionUse>,
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

/// The use of an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionUse {
    /// Tasks in which it was used.
    pub n_tasks: usize,
    /// Those of them that were solved.
    pub n_won: usize,
}

/// What some evaluations use and others never do (appendix A.7): by tasks won with it, by tasks
/// with it, then by name. Uses are added up.
pub fn used_only_by(these: &[&Evaluation], never_by: &[&Evaluation]) -> Vec<(String, ActionUse)> {
    let mut uses = BTreeMap::<&String, ActionUse>::new();
    for (name, found) in these.iter().flat_map(|evaluation| &evaluation.actions) {
        let sum = uses.entry(name).or_default();
        sum.n_tasks += found.n_tasks;
        sum.n_won += found.n_won;
    }
    uses.retain(|name, _| never_by.iter().all(|other| !other.actions.contains_key(*name)));
    let mut uses: Vec<_> = uses.into_iter().map(|(name, found)| (name.clone(), found)).collect();
    // Stable: those used and won alike stay in the order of their names.
    uses.sort_by_key(|(_, found)| std::cmp::Reverse((found.n_won, found.n_tasks)));
    uses
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

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(uses: &[(&str, usize, usize)]) -> Evaluation {
        let none = Estimate::share(0, 1);
        let entry = |(name, n_tasks, n_won): &(&str, usize, usize)| {
            ((*name).to_owned(), ActionUse { n_tasks: *n_tasks, n_won: *n_won })
        };
        Evaluation {
            split: "test".to_owned(),
            n_tasks: 1,
            n_environment_errors: 0,
            win_rate: none,
            reward: none,
            n_turn_limit: 0,
            n_context_full: 0,
            mean_actions: 0.0,
            n_generated_tokens: 0,
            skills: Vec::new(),
            actions: uses.iter().map(entry).collect(),
            rewards: Vec::new(),
        }
    }

    #[test]
    fn what_others_never_do_is_told_with_the_most_wins_first() {
        let seeds = [
            evaluation(&[("open", 9, 9), ("mix", 2, 0), ("go", 3, 1), ("dig", 2, 0)]),
            evaluation(&[("go", 1, 1), ("cook", 2, 2), ("wait", 1, 1)]),
        ];
        let others = [evaluation(&[("open", 1, 0)]), evaluation(&[("wait", 1, 0)])];
        let (seeds, others): (Vec<_>, Vec<_>) = (seeds.iter().collect(), others.iter().collect());
        let found = used_only_by(&seeds, &others);
        let found: Vec<_> =
            found.iter().map(|(name, found)| (name.as_str(), found.n_tasks, found.n_won)).collect();
        assert_eq!(found, [("go", 4, 2), ("cook", 2, 2), ("dig", 2, 0), ("mix", 2, 0)]);
        assert_eq!(used_only_by(&others, &others), []);
    }
}
