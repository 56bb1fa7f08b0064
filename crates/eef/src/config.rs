//! The settings of a run: everything here changes its results.

use eef_core::Sampling;
use serde::{Deserialize, Serialize};

use crate::RunError;
use crate::bench::Outcomes;

/// How a run goes, whatever its method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The root of all randomness.
    pub seed: u64,
    /// The experts that are imitated; the baselines use no others (appendix A.5). Empty: all.
    pub bc_experts: Vec<String>,
    /// The paper's `I`: behaviour cloning is the first round.
    pub n_rounds: u32,
    /// Rollouts that are run together, stored together, and repeated together after an
    /// interruption.
    pub unit_size: usize,
    /// Behaviour cloning.
    pub behaviour_cloning: BehaviourCloning,
    /// Sampling while exploring (a method with a temperature grid uses its own temperatures).
    pub exploration: Exploration,
    /// Training after an exploration.
    pub tuning: Tuning,
    /// The same where a method tells pairs apart.
    pub preferences: PreferenceTuning,
    /// Evaluation.
    pub evaluation: EvaluationConfig,
    /// Explore only this many training tasks, the first ones; 0 takes all.
    pub n_train_tasks: usize,
    /// What a round of exploration and training may cost.
    pub budget: Budget,
}

/// What a round of exploration and training may cost, whatever the method; 0 sets no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Rollouts: of what a method asks for at once, the first ones are run.
    pub simulations: usize,
    /// Tokens that rollouts generate: once there are so many, no more rollouts are begun, but those
    /// asked for together are all run.
    pub generated_tokens: u64,
    /// Tokens that carry loss, over all passes: there are as many passes as fit, one at least.
    pub trained_tokens: u64,
}

impl Budget {
    /// How many rollouts may be begun after these.
    pub(crate) fn n_left(&self, outcomes: &Outcomes) -> usize {
        let n_tokens = self.generated_tokens;
        if n_tokens > 0 && outcomes.n_generated_tokens() >= n_tokens {
            return 0;
        }
        match self.simulations {
            0 => usize::MAX,
            n => n.saturating_sub(outcomes.n_jobs),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            bc_experts: Vec::new(),
            n_rounds: 3,
            unit_size: 256,
            behaviour_cloning: BehaviourCloning::default(),
            exploration: Exploration::default(),
            tuning: Tuning::default(),
            preferences: PreferenceTuning::default(),
            evaluation: EvaluationConfig::default(),
            n_train_tasks: 0,
            budget: Budget::default(),
        }
    }
}

impl Config {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// [`RunError::Setting`] for the first that makes no sense.
    pub fn check(&self) -> Result<(), RunError> {
        let cloning = &self.behaviour_cloning;
        positive("n_rounds", self.n_rounds as usize)?;
        positive("unit_size", self.unit_size)?;
        positive("behaviour_cloning.stage_epochs", cloning.stage_epochs)?;
        positive("behaviour_cloning.max_stages", cloning.max_stages)?;
        positive("behaviour_cloning.patience", cloning.patience)?;
        positive("tuning.n_epochs", self.tuning.n_epochs)?;
        positive("evaluation.n_resamples", self.evaluation.n_resamples)?;
        self.preferences.check()?;
        rate("behaviour_cloning.learning_rate", cloning.learning_rate)?;
        rate("tuning.learning_rate", self.tuning.learning_rate)?;
        let temperature = self.exploration.temperature;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(setting("exploration.temperature", temperature, "a number of 0 or more"));
        }
        let top_p = self.exploration.top_p;
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(setting("exploration.top_p", top_p, "a number above 0 and up to 1"));
        }
        Ok(())
    }
}

/// Behaviour cloning: consecutive stages, each continuing from the last one's model and evaluated
/// on validation tasks, until stages bring nothing more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BehaviourCloning {
    /// Passes over the trajectories in a stage (the paper: 6, and a single stage).
    pub stage_epochs: usize,
    /// Stages at most.
    pub max_stages: usize,
    /// Stages in a row without a better validation result, after which it ends.
    pub patience: usize,
    /// Peak learning rate of a stage.
    pub learning_rate: f64,
}

impl Default for BehaviourCloning {
    fn default() -> Self {
        Self { stage_epochs: 6, max_stages: 1, patience: 1, learning_rate: 5e-5 }
    }
}

/// How an exploring policy samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exploration {
    /// Softmax temperature.
    pub temperature: f32,
    /// Nucleus; 1 samples from the whole distribution.
    pub top_p: f32,
}

impl Default for Exploration {
    fn default() -> Self {
        Self { temperature: 0.7, top_p: 1.0 }
    }
}

impl Exploration {
    /// The same as the vocabulary has it.
    pub fn sampling(&self) -> Sampling {
        Sampling { temperature: self.temperature, top_p: self.top_p }
    }
}

/// Training after an exploration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tuning {
    /// Passes over the training set of a round.
    pub n_epochs: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// The model that a round's training starts from.
    pub init: Init,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { n_epochs: 6, learning_rate: 5e-5, init: Init::Previous }
    }
}

/// Training on pairs after an exploration (direct preference optimisation), with the values of ETO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreferenceTuning {
    /// Passes over the pairs of a round.
    pub n_epochs: usize,
    /// Peak learning rate of the first round after behaviour cloning, of the second, and so on; the
    /// last one holds from there on.
    pub learning_rates: Vec<f64>,
    /// DPO's β likewise.
    pub betas: Vec<f64>,
}

impl Default for PreferenceTuning {
    fn default() -> Self {
        Self { n_epochs: 3, learning_rates: vec![1e-6, 5e-7], betas: vec![0.1, 0.5] }
    }
}

impl PreferenceTuning {
    fn check(&self) -> Result<(), RunError> {
        positive("preferences.n_epochs", self.n_epochs)?;
        let lists = [
            ("preferences.learning_rates", &self.learning_rates),
            ("preferences.betas", &self.betas),
        ];
        for (field, values) in lists {
            if values.is_empty() {
                return Err(setting(field, "empty", "one number above 0 or more"));
            }
            values.iter().try_for_each(|value| rate(field, *value))?;
        }
        Ok(())
    }

    /// The value of a list for a round, counted from 1.
    pub(crate) fn of_round(values: &[f64], round: u32) -> f64 {
        let index = (round as usize).saturating_sub(2).min(values.len().saturating_sub(1));
        values.get(index).copied().unwrap_or_default()
    }
}

/// The model that a round's training starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// The model that explored (Algorithm 1).
    #[default]
    Previous,
    /// The base model (several RFT papers).
    Base,
}

/// Evaluation: greedy, one rollout per task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Validation tasks, the first ones; 0 takes all.
    pub n_validation: usize,
    /// Test tasks, the first ones; 0 takes all.
    pub n_test: usize,
    /// Resamples of a bootstrap interval.
    pub n_resamples: usize,
    /// Which round is evaluated on test tasks.
    pub tested: Tested,
}

/// Which round is evaluated on test tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tested {
    /// The best one on validation tasks.
    #[default]
    Best,
    /// The last one, whether it is better or not: what one round of exploration is worth (the
    /// paper's Figure 3).
    Last,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { n_validation: 0, n_test: 0, n_resamples: 2_000, tested: Tested::Best }
    }
}

fn positive(field: &'static str, value: usize) -> Result<(), RunError> {
    if value == 0 { Err(setting(field, value, "at least 1")) } else { Ok(()) }
}

fn rate(field: &'static str, value: f64) -> Result<(), RunError> {
    let sound = value.is_finite() && value > 0.0;
    if sound { Ok(()) } else { Err(setting(field, value, "a number above 0")) }
}

fn setting(field: &'static str, found: impl ToString, expected: &'static str) -> RunError {
    RunError::Setting { field, found: found.to_string(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_without_sense_are_named() {
        Config::default().check().unwrap();
        let mut config = Config::default();
        config.tuning.learning_rate = f64::NAN;
        let message = config.check().unwrap_err().to_string();
        assert_eq!(message, "setting `tuning.learning_rate` is NaN: expected a number above 0");
    }
}
