//! `verify`: an environment beside recordings of the original programs.

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use eef_webshop::verify::verify;

use crate::output;

/// What to compare.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The environment
    environment: Environment,
    /// Folder with the raw files that the recordings were made with
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder with the recordings; those of them that are there are compared
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,
}

/// Environments that have recordings.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Environment {
    /// WebShop as AgentLite, AgentBoard and its own text modes show it
    Webshop,
}

/// Compares.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { environment: Environment::Webshop, data, reference } = arguments;
    let checks = verify(data, reference)?;
    for check in &checks {
        output::print(&format!("{}\n", serde_json::to_string(check)?))?;
    }
    let n_mismatches: usize = checks.iter().map(|check| check.mismatches).sum();
    let n_cases: usize = checks.iter().map(|check| check.cases).sum();
    ensure!(n_mismatches == 0, "{n_mismatches} of {n_cases} cases differ from the recordings");
    Ok(())
}
