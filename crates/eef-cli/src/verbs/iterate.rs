//! `iterate`: all of Algorithm 1.

use std::sync::Arc;

use clap::Args;
use eef::{Imitation, Setup, Skill};
use eef_core::{Learner, Opening, OutcomeLabel, Trajectory};
use eef_rollout::RolloutConfig;

use crate::config::Config;
use crate::context::Context;
use crate::recording::Recording;
use crate::run_directory::{self, RunDirectory};
use crate::{output, plan, results, wiring};

/// How to iterate.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Prints what would be done, what it costs and what is missing
    #[arg(long)]
    dry_run: bool,
    /// Method in place of the configuration's, such as eef, rft-x6 or sft-pos
    #[arg(long)]
    method: Option<String>,
}

/// Iterates, or plans to.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let mut config = context.config()?;
    if let Some(method) = &arguments.method {
        config.method.name.clone_from(method);
    }
    // What is missing or cannot work is found before a run directory is made.
    let method = wiring::method(&config, &config.method.name)?;
    wiring::check_settings(&config)?;
    if arguments.dry_run {
        return plan::print(context, &config, method.as_ref());
    }
    let learner = Recording(wiring::learner(&config)?);
    let parts = Parts::open(context, &config, &[method.imitation()])?;
    let run = RunDirectory::open(context, &config, "")?;
    let store = run.store()?;
    let opening = wiring::opening(&config)?;
    let skills = parts.world.skills();
    let setup = parts.setup(&config, &learner, &opening, &skills);
    let settings = wiring::run_config(&config);
    let leak = parts.world.leak();
    if let Some(leak) = &leak {
        context.progress.note(leak);
    }
    let control = context.control();
    let report = eef::iterate(&setup, &settings, method.as_ref(), &store, run.path(), &control)?;
    run_directory::write(&run.path().join("report.json"), &serde_json::to_vec_pretty(&report)?)?;
    if context.global.json {
        return output::print_json(&report);
    }
    output::print(&results::run(&report))?;
    if let Some(leak) = leak {
        output::print(&format!("{leak}\n"))?;
    }
    if let Some(share) = parts.world.simulators_share() {
        context.progress.note(&share);
    }
    let model = run.path().join("models").join(&report.best_model);
    context.progress.note(&format!("model: {}", model.display()));
    Ok(())
}

/// What `iterate` and `compare` both need.
pub struct Parts {
    /// The environment.
    pub world: wiring::World,
    /// The base model's directory.
    pub base: std::path::PathBuf,
    /// The experts' trajectories.
    pub experts: Vec<Arc<Trajectory>>,
    /// A digest of base model, data and engine.
    pub fingerprint: String,
}

impl Parts {
    /// Opens everything that the configuration names, and checks that the methods that begin with
    /// these imitations can begin.
    pub fn open(
        context: &Context,
        config: &Config,
        imitations: &[Imitation],
    ) -> anyhow::Result<Self> {
        let world = wiring::World::open(config)?;
        let base = wiring::base_model(config)?;
        wiring::open_model(&base)?;
        let experts = wiring::experts(config, &world, &context.control())?;
        let experts: Vec<_> = experts.into_iter().map(Arc::new).collect();
        wiring::check_run(config, &world, &experts, imitations)?;
        let fingerprint = wiring::fingerprint(config, &world, &base)?;
        Ok(Self { world, base, experts, fingerprint })
    }

    /// What a run is given.
    pub fn setup<'a>(
        &'a self,
        config: &Config,
        learner: &'a dyn Learner,
        opening: &'a (dyn Fn(&Opening, Option<OutcomeLabel>) -> String + Sync),
        skills: &'a [Skill],
    ) -> Setup<'a> {
        Setup {
            environment: &self.world,
            opening,
            learner,
            base: &self.base,
            experts: &self.experts,
            skills,
            action_name: self.world.action_name(),
            fingerprint: &self.fingerprint,
            n_workers: wiring::n_workers(config),
            rollouts: RolloutConfig::default(),
        }
    }
}
