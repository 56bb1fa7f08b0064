//! `verify`: an environment or a model beside recordings of other programs.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use eef_scienceworld::verify::VerifyOptions;
use eef_scienceworld::{Jar, PoolOptions};
use serde::Serialize;

use crate::context::Context;
use crate::output;

/// What to compare.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What has recordings
    what: What,
    /// For webshop: folder with the raw files that the recordings were made with
    #[arg(long, value_name = "DIR", required_if_eq("what", "webshop"), conflicts_with = "model")]
    data: Option<PathBuf>,
    /// For llama: model directory
    #[arg(long, value_name = "DIR", required_if_eq("what", "llama"))]
    model: Option<PathBuf>,
    /// For scienceworld: the simulator's jar, with object_type_ids.tsv beside it
    #[arg(long, value_name = "FILE", required_if_eq("what", "scienceworld"), conflicts_with_all = ["data", "model"])]
    jar: Option<PathBuf>,
    /// For scienceworld: worker processes
    #[arg(long, value_name = "N", default_value_t = 2, requires = "jar", value_parser = at_least_one)]
    workers: usize,
    /// For scienceworld: simulators in each worker
    #[arg(long, value_name = "N", default_value_t = 4, requires = "jar", value_parser = at_least_one)]
    simulators: usize,
    /// For scienceworld: shuffles the episodes; 0 leaves them in their order
    #[arg(long, default_value_t = 0, requires = "jar")]
    order: u64,
    /// Folder with the recordings; those of them that are there are compared
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,
}

/// What has recordings.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// WebShop as AgentLite, AgentBoard and its own text modes show it
    Webshop,
    /// The ScienceWorld simulator as its own Python package shows it
    Scienceworld,
    /// A model's tokens, logits, greedy continuations and gradients beside those of transformers
    Llama,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a whole number above 0".to_owned())
}

/// Compares.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let reference = &arguments.reference;
    let sources = (&arguments.data, &arguments.model, &arguments.jar);
    match (arguments.what, sources) {
        (What::Webshop, (Some(data), ..)) => {
            let checks = eef_webshop::verify::verify(data, reference)?;
            report(&checks, |check| (check.cases, check.mismatches))
        }
        (What::Llama, (_, Some(model), _)) => {
            let device = context.global.device.as_deref().unwrap_or("cpu");
            let checks = eef_agent::verify::verify(model, reference, device)?;
            report(&checks, |check| (check.cases, check.mismatches))
        }
        (What::Scienceworld, (.., Some(jar))) => {
            let pool = PoolOptions {
                n_workers: arguments.workers,
                simulators_per_worker: arguments.simulators,
                ..PoolOptions::default()
            };
            let options = VerifyOptions { pool, seed: arguments.order };
            let checks = eef_scienceworld::verify::verify(&Jar::open(jar)?, reference, &options)?;
            report(&checks, |check| (check.cases, check.mismatches))
        }
        _ => bail!("webshop is compared with --data, llama with --model, scienceworld with --jar"),
    }
}

/// A JSON object a file; an error where anything differs.
fn report<T: Serialize>(checks: &[T], counts: fn(&T) -> (usize, usize)) -> anyhow::Result<()> {
    for check in checks {
        output::print(&format!("{}\n", serde_json::to_string(check)?))?;
    }
    let n_cases: usize = checks.iter().map(|check| counts(check).0).sum();
    let n_mismatches: usize = checks.iter().map(|check| counts(check).1).sum();
    ensure!(n_mismatches == 0, "{n_mismatches} of {n_cases} cases differ from the recordings");
    Ok(())
}
