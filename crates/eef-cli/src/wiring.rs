//! From the configuration to the parts that it names.

mod checks;
mod science;
mod world;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eef_agent::{GenerationOptions, LearnerOptions, LlamaLearner, PreferenceOptions};
use eef_chat::{Encoder, LabelStyle, Prompt, PromptTemplate};
use eef_core::{Control, Environment, Opening, OutcomeLabel, Split, Trajectory, TrajectoryId};
use eef_llama::{LoraConfig, LoraTarget};
use eef_weights::directory_hash;

use crate::config::{Config, PreferencesConfig};
use crate::paths;

pub use checks::{check_names, check_run, check_settings, n_imitated, open_model, training_tasks};
pub use science::{is_teacher, transcripts};
pub use world::World;

/// The prompt of the configuration.
pub fn prompt(config: &Config) -> anyhow::Result<PromptTemplate> {
    Ok(config.model.prompt.parse()?)
}

/// The prompt of the configuration, announcing an outcome where there is one to announce.
pub fn announced(config: &Config, label: Option<OutcomeLabel>) -> anyhow::Result<Prompt> {
    Ok(prompt(config)?.announcing(label, config.method.nat_label.parse()?))
}

/// What turns an episode's opening into the first message, for rollouts.
pub fn opening(
    config: &Config,
) -> anyhow::Result<impl Fn(&Opening, Option<OutcomeLabel>) -> String + Sync + use<>> {
    let (prompt, style): (_, LabelStyle) = (prompt(config)?, config.method.nat_label.parse()?);
    Ok(move |opening: &Opening, label| prompt.announcing(label, style).of_opening(opening))
}

/// The base model's directory. Its own context must hold what is asked of it.
pub fn base_model(config: &Config) -> anyhow::Result<PathBuf> {
    let base = paths::require(&config.model.base, "the base model", &config.plan.model_source)?;
    generation(config).check_context_length(&base).with_context(|| {
        format!(
            "model.context_length or explore.max_cache_gigabytes does not fit {}",
            base.display()
        )
    })?;
    Ok(base)
}

/// What turns text into tokens for every model of the configuration's runs: they keep their base's
/// tokenizer and template.
pub fn encoder(config: &Config) -> anyhow::Result<Encoder> {
    let base = paths::require(&config.model.base, "the base model", &config.plan.model_source)?;
    Ok(eef_agent::open_encoder(&base)?)
}

/// Worker threads: what the configuration says, or one per core.
pub fn n_workers(config: &Config) -> usize {
    match config.machine.n_workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

/// The learner of the configuration.
pub fn learner(config: &Config) -> anyhow::Result<LlamaLearner> {
    let options = LearnerOptions {
        device: config.machine.device.clone(),
        prompt: prompt(config)?,
        label_style: config.method.nat_label.parse()?,
        train: train_config(config)?,
        preferences: PreferenceOptions {
            batch_size: config.preferences.batch_size,
            schedule: config.preferences.schedule.parse().map_err(anyhow::Error::msg)?,
            warmup_fraction: config.preferences.warmup_fraction,
        },
        generation: generation(config),
    };
    Ok(LlamaLearner::new(options)?)
}

/// How policies generate.
fn generation(config: &Config) -> GenerationOptions {
    GenerationOptions {
        max_sequences: config.explore.max_sequences,
        max_reply_tokens: config.explore.max_reply_tokens,
        context_length: Some(config.model.context_length).filter(|length| *length > 0),
        max_cache_bytes: max_cache_bytes(config),
    }
}

/// Most bytes of keys and values that each worker keeps.
pub fn max_cache_bytes(config: &Config) -> usize {
    (config.explore.max_cache_gigabytes * 1e9) as usize
}

/// The trainer's settings; epochs, learning rate and seed come with each training.
pub fn train_config(config: &Config) -> anyhow::Result<eef_train::TrainConfig> {
    let train = &config.train;
    let defaults = eef_train::TrainConfig::default();
    Ok(eef_train::TrainConfig {
        n_epochs: train.n_epochs,
        batch_size: train.batch_size,
        micro_batch_tokens: train.micro_batch_tokens,
        learning_rate: train.learning_rate,
        schedule: train.schedule.parse().map_err(anyhow::Error::msg)?,
        warmup_fraction: train.warmup_fraction,
        adamw: eef_train::AdamWConfig { weight_decay: train.weight_decay, ..defaults.adamw },
        max_gradient_norm: train.max_gradient_norm,
        checkpoint_every_steps: train.checkpoint_every_steps,
        checkpoint_layers: train.checkpoint_layers,
        precision: train.precision.parse()?,
        groups: groups(&train.groups)?,
        n_workers: n_workers(config),
        order: defaults.order,
        lora: lora(train, config.seed)?,
        seed: config.seed,
    })
}

fn groups(texts: &[String]) -> anyhow::Result<Vec<eef_train::ParameterGroup>> {
    let parse = |text: &String| text.parse().map_err(anyhow::Error::msg).context("train.groups");
    texts.iter().map(parse).collect()
}

/// Adapters, where training is to have them.
pub fn lora(train: &crate::config::TrainConfig, seed: u64) -> anyhow::Result<Option<LoraConfig>> {
    let targets = LoraTarget::parse_list(&train.lora_targets).context("train.lora_targets")?;
    let config = LoraConfig {
        rank: train.lora_rank,
        alpha: train.lora_alpha,
        targets,
        seed,
        ..LoraConfig::default()
    };
    Ok((train.lora_rank > 0).then_some(config))
}

/// The experts' trajectories: read from files, or asked of scripted teachers now.
pub fn experts(
    config: &Config,
    world: &World,
    control: &Control<'_>,
) -> anyhow::Result<Vec<Trajectory>> {
    let mut all = Vec::new();
    for source in &config.data.experts {
        if is_teacher(source) {
            let n_tasks = config.data.n_train_tasks;
            all.extend(collect(config, world, source, Split::Train, n_tasks, control)?);
            continue;
        }
        let path = paths::require(source, "the expert file", &config.plan.data_source)?;
        all.extend(eef_store::read_jsonl(&path)?);
    }
    check_experts(world, &all)?;
    Ok(all)
}

/// Checks each expert as [`World::check_expert`] does.
pub fn check_experts(world: &World, experts: &[Trajectory]) -> anyhow::Result<()> {
    experts.iter().try_for_each(|expert| world.check_expert(expert))
}

/// What a scripted teacher does on the first `n_tasks` (0: all) tasks of a split, drawn from the
/// configuration's seed. With the seed of the embedded data (`--set seed=20260101`) these are the
/// trajectories of `fixtures/experts`, byte for byte.
pub fn collect(
    config: &Config,
    world: &World,
    teacher: &str,
    split: Split,
    n_tasks: usize,
    control: &Control<'_>,
) -> anyhow::Result<Vec<Trajectory>> {
    let mut tasks = world.tasks(split);
    if n_tasks > 0 {
        tasks.truncate(n_tasks);
    }
    world.collect(config, teacher, tasks, control)
}

/// The settings of Algorithm 1.
pub fn run_config(config: &Config) -> eef::Config {
    let cloning = &config.behaviour_cloning;
    eef::Config {
        seed: config.seed,
        bc_experts: config.data.bc_experts.clone(),
        n_rounds: config.method.n_iterations,
        unit_size: config.explore.unit_size,
        behaviour_cloning: eef::BehaviourCloning {
            stage_epochs: cloning.stage_epochs,
            max_stages: cloning.max_stages,
            patience: cloning.patience,
            learning_rate: cloning.learning_rate,
        },
        exploration: eef::Exploration {
            temperature: config.explore.temperature,
            top_p: config.explore.top_p,
        },
        tuning: eef::Tuning {
            n_epochs: config.train.n_epochs,
            learning_rate: config.train.learning_rate,
            init: match config.method.init.as_str() {
                "base" => eef::Init::Base,
                _ => eef::Init::Previous,
            },
        },
        preferences: eef::PreferenceTuning {
            n_epochs: config.preferences.n_epochs,
            learning_rates: config.preferences.learning_rates.clone(),
            betas: config.preferences.betas.clone(),
        },
        evaluation: eef::EvaluationConfig {
            n_validation: config.data.n_validation_tasks,
            n_test: config.data.n_test_tasks,
            tested: match config.method.tested.as_str() {
                "last" => eef::Tested::Last,
                _ => eef::Tested::Best,
            },
            ..eef::EvaluationConfig::default()
        },
        n_train_tasks: config.data.n_train_tasks,
        budget: eef::Budget {
            simulations: config.budget.simulations,
            generated_tokens: config.budget.generated_tokens,
            trained_tokens: config.budget.trained_tokens,
        },
    }
}

/// The method of a name, with the configuration's options.
pub fn method(config: &Config, name: &str) -> anyhow::Result<Box<dyn eef::Method>> {
    let options = eef::MethodOptions {
        n_simulations: config.method.n_simulations,
        anchors: config.method.anchors.clone(),
        tie: config.method.tie.clone(),
        positives_per_task: config.method.n_positives_per_task,
        dart_positives_per_task: config.method.n_dart_positives_per_task,
        temperatures: config.method.temperatures.clone(),
        self_temperature: config.method.self_temperature,
        n_blind: config.method.n_blind,
        n_bandit_parts: config.method.n_bandit_parts,
        tree_exploration: config.method.tree_exploration,
    };
    Ok(eef::method(name, &options)?)
}

/// A digest of what decides results and is no setting of Algorithm 1: the base model, the data
/// and the engine's settings.
pub fn fingerprint(config: &Config, world: &World, base: &Path) -> anyhow::Result<String> {
    let mut engine = config.clone();
    engine.machine.n_workers = 0;
    if engine.machine.device == "cpu" {
        // Answers on the CPU do not depend on what is kept for others.
        engine.explore.max_cache_gigabytes = 0.0;
    }
    let engine = (
        &engine.model.prompt,
        engine.model.context_length,
        engine.explore.max_reply_tokens,
        engine.explore.max_sequences,
        engine.explore.max_cache_gigabytes,
        &engine.train,
        &engine.machine.device,
    );
    let mut parts =
        vec![directory_hash(base)?, world.digest(config)?, serde_json::to_string(&engine)?];
    if config.data.faithful {
        parts.push("faithful".to_owned());
    }
    // As faithful: what is not set does not count, so that older runs stay themselves.
    let (pairs, usual) = (&config.preferences, PreferencesConfig::default());
    if *pairs != usual {
        parts.push(serde_json::to_string(pairs)?);
    }
    if config.method.nat_label != LabelStyle::default().name() {
        parts.push(config.method.nat_label.clone());
    }
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    Ok(TrajectoryId::derive(&parts).to_string())
}
