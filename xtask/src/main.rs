//! Tasks of the workspace: checks, fixtures, data and pictures. Compiles no Burn, so that it starts
//! quickly.
//!
//! `cargo xtask --help` lists them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod check;
mod dependencies;
mod fixtures;
mod hub;
mod interop;
mod outside;
mod plot;
mod prepare_data;
mod prepare_model;
mod prepare_scienceworld;
mod process;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks, fixtures, data and pictures of the EEF workspace")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check that a change must pass, the cheapest first
    Check(check::CheckArguments),
    /// Check the embedded data, or prepare real data
    PrepareData(prepare_data::PrepareDataArguments),
    /// Measure speed and memory, and print one table
    Bench(bench::BenchArguments),
    /// Open what this program writes in transformers and peft, and compare
    Interop(interop::InteropArguments),
    /// Draw the picture of a comparison
    Plot(plot::PlotArguments),
    /// Make the embedded shop, its teachers' trajectories and its tokenizer again
    Fixtures(fixtures::FixturesArguments),
}

fn main() -> ExitCode {
    eef_scienceworld::worker_main_if_requested();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, each once: some messages hold their cause already.
#[expect(clippy::print_stderr, reason = "errors are for people")]
fn tell(error: &anyhow::Error) {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !said.contains(&cause) {
            let lead = if said.is_empty() { "error: " } else { "\n  caused by: " };
            said.push_str(lead);
            said.push_str(&cause);
        }
    }
    eprintln!("{said}");
}

fn run() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::PrepareData(arguments) => prepare_data::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Interop(arguments) => interop::run(&arguments),
        Command::Plot(arguments) => plot::run(&arguments),
        Command::Fixtures(arguments) => fixtures::run(&arguments),
    }
}
