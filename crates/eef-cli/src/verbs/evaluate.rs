//! `evaluate`: a model on a split, greedily.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use eef::Setup;
use eef_core::{Opening, OutcomeLabel, Split};
use eef_rollout::RolloutConfig;
use eef_store::MemoryStore;

use crate::context::Context;
use crate::{output, output_file, results, run_directory, wiring};

/// What to evaluate.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Model directory; without it the best model of the run directory
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// Only the first N tasks; 0 takes what the configuration says
    #[arg(long, default_value_t = 0, value_name = "N")]
    tasks: usize,
    /// Writes the trajectories as JSONL; - for stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Evaluates.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    // The best model of a run is evaluated as the run would; another, by the configuration given.
    let (config, model) = if let Some(model) = &arguments.model {
        (context.config()?, model.clone())
    } else {
        let config = context.config_of_run()?;
        let model = best_model(&run_directory::path(&context.global, &config, ""))?;
        (config, model)
    };
    if !model.join("config.json").is_file() {
        bail!("{} is no model directory: it has no config.json", model.display());
    }
    let world = wiring::World::open(&config)?;
    let learner = wiring::learner(&config)?;
    // A run's model is asked as the run asked it.
    let label = match arguments.model {
        Some(_) => None,
        None => wiring::method(&config, &config.method.name)?.imitation().asked_for(),
    };
    let announced = wiring::opening(&config)?;
    let opening = |opening: &Opening, _| announced(opening, label);
    let setup = Setup {
        environment: &world,
        opening: &opening,
        learner: &learner,
        base: &model,
        experts: &[],
        skills: &world.skills(),
        action_name: world.action_name(),
        fingerprint: &wiring::fingerprint(&config, &world, &model)?,
        n_workers: wiring::n_workers(&config),
        rollouts: RolloutConfig::default(),
    };
    let mut settings = wiring::run_config(&config);
    if arguments.tasks > 0 {
        settings.n_train_tasks = arguments.tasks;
        settings.evaluation.n_validation = arguments.tasks;
        settings.evaluation.n_test = arguments.tasks;
    }
    let store = MemoryStore::new();
    let (split, control) = (arguments.split, context.control());
    // The fingerprint contains the model's digest: besides that there is only what it is asked for.
    let asked_for = label.map_or("", OutcomeLabel::name);
    let evaluation = eef::evaluate(&setup, &settings, &model, asked_for, split, &store, &control)?;
    if let Some(share) = world.simulators_share() {
        context.progress.note(&share);
    }
    let name = model.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut table = results::evaluation(&name, &evaluation);
    if let Some(leak) = world.leak().filter(|_| split == Split::Test) {
        table.extend([leak.as_str(), "\n"]);
    }
    if let Some(out) = &arguments.out {
        output_file::export(&store, out)?;
        return output_file::report(context, out, &evaluation, &table);
    }
    if context.global.json {
        return output::print_json(&evaluation);
    }
    output::print(&table)
}

fn best_model(run: &std::path::Path) -> anyhow::Result<PathBuf> {
    let file = run.join("report.json");
    let Ok(bytes) = std::fs::read(&file) else {
        bail!("{} holds no complete run: name a model with --model", run.display());
    };
    let report: eef::RunReport = serde_json::from_slice(&bytes)?;
    Ok(run.join("models").join(report.best_model))
}
