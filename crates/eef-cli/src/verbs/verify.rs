//! `verify`: an environment or a model beside recordings of other programs.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
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
    /// Folder with the recordings; those of them that are there are compared
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,
}

/// What has recordings.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// WebShop as AgentLite, AgentBoard and its own text modes show it
    Webshop,
    /// A model's tokens, logits, greedy continuations and gradients beside those of transformers
    Llama,
}

/// Compares.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let reference = &arguments.reference;
    match (arguments.what, &arguments.data, &arguments.model) {
        (What::Webshop, Some(data), _) => {
            let checks = eef_webshop::verify::verify(data, reference)?;
            report(&checks, |check| (check.cases, check.mismatches))
        }
        (What::Llama, _, Some(model)) => {
            let device = context.global.device.as_deref().unwrap_or("cpu");
            let checks = eef_agent::verify::verify(model, reference, device)?;
            report(&checks, |check| (check.cases, check.mismatches))
        }
        _ => bail!("webshop is compared with --data, llama with --model"),
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
