//! `verify`: an environment or a model beside recordings of other programs.

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::output;

/// What to compare.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// WebShop as AgentLite, AgentBoard and its own text modes show it
    Webshop {
        /// Folder with the raw files that the recordings were made with
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Folder with the recordings; those of them that are there are compared
        #[arg(long, value_name = "DIR")]
        reference: PathBuf,
    },
    /// A model's tokens, logits, greedy continuations and gradients beside transformers' own
    Llama {
        /// Model directory
        #[arg(long, value_name = "DIR")]
        model: PathBuf,
        /// Folder with the recordings; those of them that are there are compared
        #[arg(long, value_name = "DIR")]
        reference: PathBuf,
    },
}

/// Compares.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.what {
        What::Webshop { data, reference } => {
            let checks = eef_webshop::verify::verify(data, reference)?;
            report(&checks, |check| (check.cases, check.mismatches))
        }
        What::Llama { model, reference } => {
            let device = context.global.device.as_deref().unwrap_or("cpu");
            let checks = eef_agent::verify::verify(model, reference, device)?;
            report(&checks, |check| (check.cases, check.mismatches))
        }
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
