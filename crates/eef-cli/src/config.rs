//! The configuration file: what it may say, and how it is read.
//!
//! These structs are the file format. They are turned into the settings of the crates in
//! `wiring.rs`, so that a crate may change its settings without changing anybody's file.

mod defaults;
mod keys;
mod load;

use serde::{Deserialize, Serialize};

pub use keys::nearest;
pub use load::{Source, difference, difference_in, load};

/// More worker threads than any machine has cores; each costs memory before it does anything.
pub const MAX_WORKERS: usize = 1024;

/// A whole configuration. Only `name` must be given; everything else has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Names the run directory.
    pub name: String,
    /// The run's seed.
    #[serde(default = "one")]
    pub seed: u64,
    /// Tasks and teachers.
    #[serde(default)]
    pub data: DataConfig,
    /// The model to tune.
    #[serde(default)]
    pub model: ModelConfig,
    /// How exploration is turned into training.
    #[serde(default)]
    pub method: MethodConfig,
    /// How rollouts are sampled.
    #[serde(default)]
    pub explore: ExploreConfig,
    /// Round 1.
    #[serde(default)]
    pub behaviour_cloning: BehaviourCloningConfig,
    /// Rounds of training after exploration.
    #[serde(default)]
    pub train: TrainConfig,
    /// The same where a method tells pairs apart (`eto`).
    #[serde(default)]
    pub preferences: PreferencesConfig,
    /// What a round of exploration and training may cost, whatever the method.
    #[serde(default, skip_serializing_if = "is_unlimited")]
    pub budget: BudgetConfig,
    /// What `compare` compares.
    #[serde(default)]
    pub compare: CompareConfig,
    /// How the small base model is made (`pretrain`).
    #[serde(default)]
    pub pretrain: PretrainConfig,
    /// What computes. Changes no result, except for the device.
    #[serde(default)]
    pub machine: MachineConfig,
    /// Sizes that a plan (`--dry-run`) assumes where the data or the model are not there yet.
    #[serde(default)]
    pub plan: PlanConfig,
}

/// Tasks and teachers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// `webshop` or `scienceworld`.
    pub environment: EnvironmentKind,
    /// What `cargo xtask prepare-data` wrote; for ScienceWorld also a cassette's file. A path that
    /// begins with `fixtures/` is looked up in the fixtures of the repository.
    pub directory: String,
    /// ScienceWorld's tasks: `agentgym` (23), `paper` (25) or `all` (30).
    pub tasks: String,
    /// Only these of them, by name, such as `find-plant`; none listed means all.
    pub only_tasks: Vec<String>,
    /// ScienceWorld's simplifications, as the simulator reads them, such as `easy`.
    pub simplification: String,
    /// What part of a reply is ScienceWorld's action: `plain` takes the whole of it, `react` what
    /// follows the last `Action:`.
    pub action_format: String,
    /// Whether the shop has the accidents of the original's server too: pages below 1, stale lists,
    /// queries that pass through addresses, progress reported as reward.
    pub faithful: bool,
    /// Teachers: a JSONL file of trajectories, or `scripted-strong` and `scripted-weak`, which are
    /// asked when the run begins.
    pub experts: Vec<String>,
    /// The experts whose positives are cloned in round 1; none listed means all.
    pub bc_experts: Vec<String>,
    /// At most so many training tasks; 0 takes all.
    pub n_train_tasks: usize,
    /// At most so many validation tasks; 0 takes all.
    pub n_validation_tasks: usize,
    /// At most so many test tasks; 0 takes all.
    pub n_test_tasks: usize,
}

/// Which environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentKind {
    /// WebShop with AgentLite's actions.
    WebShop,
    /// ScienceWorld.
    ScienceWorld,
}

/// The model to tune.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Directory in Hugging Face's layout: config.json, model.safetensors, tokenizer.json.
    pub base: String,
    /// `short`, or `agentlite` with instructions and a worked example.
    pub prompt: String,
    /// Longest conversation in tokens; 0 takes the model's own limit.
    pub context_length: usize,
}

/// How exploration is turned into training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MethodConfig {
    /// One of `eef::METHODS`.
    pub name: String,
    /// The paper's I; behaviour cloning is the first.
    pub n_iterations: u32,
    /// The paper's M: states simulated per expert trajectory and round.
    pub n_simulations: usize,
    /// `floor` (the paper) or `even`.
    pub anchors: String,
    /// Which of the solutions with the fewest expert actions `eef` teaches: that of the `newest` round, or
    /// the one of highest `likelihood` under the policy that explored.
    pub tie: String,
    /// Positives per solved task and round in `rft` and `rft-x6`; 0 takes all.
    pub n_positives_per_task: usize,
    /// The same in `dart-uniform`, and for the hardest task in `dart-prop2diff`.
    pub n_dart_positives_per_task: usize,
    /// Temperatures of the rollouts per task of `rft-x6`; other numbers of rollouts take the first
    /// ones, and begin again where there are more.
    pub temperatures: Vec<f32>,
    /// How `nat` announces outcomes: `sentence`, `correct` or `good`.
    pub nat_label: String,
    /// Temperature of the trajectories that stand for an expert's in `eef-self`.
    pub self_temperature: f32,
    /// States that `eef-adaptive` tries on a failed trajectory where nothing is known to succeed.
    pub n_blind: usize,
    /// Into how many parts `eef-bandit` cuts the tasks.
    pub n_bandit_parts: usize,
    /// How much `eef-tree` tries of what is little known: UCT's constant, in units of reward.
    pub tree_exploration: f64,
    /// The round that is evaluated on test tasks: `best` on validation, or `last`.
    pub tested: String,
    /// `previous`: a round continues the last one's model; `base`: it starts from the base model.
    pub init: String,
}

/// How rollouts are sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExploreConfig {
    /// Softmax temperature.
    pub temperature: f32,
    /// Nucleus.
    pub top_p: f32,
    /// Longest reply in tokens.
    pub max_reply_tokens: usize,
    /// Conversations that one worker generates at once.
    pub max_sequences: usize,
    /// Most memory of one worker for keys and values, in 10^9 bytes: conversations that do not fit
    /// wait.
    pub max_cache_gigabytes: f64,
    /// Rollouts that are committed together. Decides which rollouts share a batch.
    pub unit_size: usize,
}

/// Round 1: behaviour cloning in stages until validation stops improving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BehaviourCloningConfig {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Epochs per stage.
    pub stage_epochs: usize,
    /// At most so many stages.
    pub max_stages: usize,
    /// Stages without a gain on validation before it stops.
    pub patience: usize,
}

/// Training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the selected trajectories in each round.
    pub n_epochs: usize,
    /// Examples per optimiser step.
    pub batch_size: usize,
    /// Tokens that go through the model at once.
    pub micro_batch_tokens: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// `cosine`, `linear` or `constant`.
    pub schedule: String,
    /// Share of the steps in which the learning rate rises.
    pub warmup_fraction: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Global norm to which gradients are clipped.
    pub max_gradient_norm: f64,
    /// Optimiser steps between checkpoints, besides those of every epoch; 0 for none.
    pub checkpoint_every_steps: u64,
    /// Keeps the inputs of layers alone for the backward pass and computes the rest again: a third more
    /// work for much less memory.
    pub checkpoint_layers: bool,
    /// What matrices are multiplied in: `f32`, or `bf16` for GPUs; what is trained is kept in `f32`.
    // As usual it is no part of a run's identity, so that older runs stay themselves.
    #[serde(skip_serializing_if = "is_f32")]
    pub precision: String,
    /// Parameters with a learning rate of their own, as `KIND=FACTOR` or `KIND=FACTOR,DECAY`, such as
    /// `embedding=0.1,0`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Rank of low-rank adapters (LoRA), which are then trained in place of the weights; 0 trains all
    /// weights.
    pub lora_rank: usize,
    /// Adapters count `lora_alpha / lora_rank` times.
    pub lora_alpha: f64,
    /// The adapted projections: `all-linear`, or some of q, k, v, o, gate, up, down.
    pub lora_targets: String,
}

fn is_f32(precision: &String) -> bool {
    precision == "f32"
}

/// Training on pairs: direct preference optimisation as ETO uses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreferencesConfig {
    /// Passes over the pairs of a round.
    pub n_epochs: usize,
    /// Pairs per optimiser step.
    pub batch_size: usize,
    /// Peak learning rate of the first round of exploration, of the second, and so on; the last one
    /// holds from there on.
    pub learning_rates: Vec<f64>,
    /// DPO's beta likewise.
    pub betas: Vec<f64>,
    /// `cosine`, `linear` or `constant`.
    pub schedule: String,
    /// Share of the steps in which the learning rate rises.
    pub warmup_fraction: f64,
}

/// What a round of exploration and training may cost; 0 sets no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// Rollouts; the first ones of what a method asks for are run.
    pub simulations: usize,
    /// Tokens that rollouts generate; those asked for together are all run.
    pub generated_tokens: u64,
    /// Tokens that carry loss: as many passes as fit, one at least.
    pub trained_tokens: u64,
}

// As with precisions: what is not set is no part of a run's identity.
fn is_unlimited(budget: &BudgetConfig) -> bool {
    *budget == BudgetConfig::default()
}

/// What `compare` compares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompareConfig {
    /// The methods, some of `eef::METHODS`.
    pub methods: Vec<String>,
    /// How many seeds, counted up from the configuration's.
    pub n_seeds: u64,
    /// The method whose differences to the others are reported; without one the last of `methods`.
    pub reference: String,
}

/// How the small base model is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// Browsing transcripts to read.
    pub n_transcripts: usize,
    /// Passes over them.
    pub n_epochs: usize,
    /// Transcripts per optimiser step.
    pub batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Tokenizer of the model: a file, or `train` for one trained on the text.
    pub tokenizer: String,
    /// Size of a trained tokenizer.
    pub vocabulary_size: usize,
    /// Width of the model.
    pub hidden_size: usize,
    /// Width of its feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Number of attention heads.
    pub n_heads: usize,
    /// Number of key and value heads.
    pub n_kv_heads: usize,
    /// Longest conversation in tokens.
    pub context_length: usize,
    /// `synthetic`: a catalogue of its own; `catalog`: the products of `data.directory`.
    pub source: String,
    /// Copying exercises before the first visit, where `source` is `catalog`; the transcripts are
    /// then read in order, not shuffled.
    pub n_exercises_first: usize,
    /// Share of copying exercises among the later transcripts.
    pub exercises: f64,
    /// Which tokens carry loss: `everything`, or `replies`.
    pub trained: String,
    /// ScienceWorld's tasks, by name, of whose training variations slightly spoiled scripts are read; none of
    /// `data.only_tasks`.
    pub tasks: Vec<String>,
    /// How often each of these is read once more with rooms and colours exchanged and things under
    /// made-up names, so that names are copied and not learned by heart.
    pub n_renamings: u64,
}

/// What computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MachineConfig {
    /// `cpu` or `cuda:0`.
    pub device: String,
    /// Worker threads; 0 takes one per core. Changes no result.
    pub n_workers: usize,
}

/// Sizes that a plan assumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanConfig {
    /// Training tasks.
    pub n_train_tasks: usize,
    /// Validation tasks.
    pub n_validation_tasks: usize,
    /// Test tasks.
    pub n_test_tasks: usize,
    /// Expert trajectories.
    pub n_expert_trajectories: usize,
    /// Share of them that are positive.
    pub positive_share: f64,
    /// Mean actions of an expert trajectory.
    pub actions_per_episode: f64,
    /// Tokens of the first message.
    pub prompt_tokens: f64,
    /// Tokens of an observation.
    pub observation_tokens: f64,
    /// Tokens of a reply.
    pub reply_tokens: f64,
    /// Parameters of the model, where it is not there and has no preset.
    pub n_parameters: f64,
    /// The published model that takes the place of one that is not there (`eef_llama::PRESETS`);
    /// may be empty.
    pub model_preset: String,
    /// Bytes per parameter: weights, gradients and the optimiser's two moments.
    pub bytes_per_trained_parameter: f64,
    /// What the machine computes, in 10^9 floating-point operations a second.
    pub gigaflops: f64,
    /// Where a missing base model can be had, in a line.
    pub model_source: String,
    /// Where missing data can be had, in a line. The default is for the fixtures; of data elsewhere
    /// is said what makes it.
    pub data_source: String,
}

fn one() -> u64 {
    1
}
