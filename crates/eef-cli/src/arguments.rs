//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Tunes LLM agents by exploring expert failures: one command from teacher trajectories to a tuned
/// model.
#[derive(Debug, Parser)]
#[command(name = "eef-cli", version, max_term_width = 100, propagate_version = true)]
pub struct Arguments {
    /// What every verb understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb understands.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Configuration (TOML); without it the embedded default
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Overrides a key of the configuration, such as train.n_epochs=3
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Where the run is kept; without it runs/<name>-seed<seed>
    #[arg(long, global = true, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Device: cpu, or cuda:0 where compiled in
    #[arg(long, global = true)]
    pub device: Option<String>,
    /// Worker threads; 0 takes one per core (changes no result)
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// JSON on stdout, progress as JSON lines on stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// Says more on stderr; twice says much more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Tunes the base model: Algorithm 1, or the method of the configuration
    ///
    /// Continues an interrupted run directory, and prints the result of a complete one again.
    Iterate(crate::verbs::iterate::Arguments),
    /// Wins and rewards of a model on a split, greedily
    Evaluate(crate::verbs::evaluate::Arguments),
    /// Several methods over several seeds, with paired intervals: the paper's tables
    Compare(crate::verbs::compare::Arguments),
    /// Shows trajectories of a run, and which tokens of them are trained
    Inspect(crate::verbs::inspect::Arguments),
    /// Asks a scripted teacher to try the tasks of a split and writes its trajectories as JSONL
    Collect(crate::verbs::collect::Arguments),
    /// Makes the small base model from browsing text
    Pretrain(crate::verbs::pretrain::Arguments),
    /// Reads expert trajectories of other programs, replays them and writes JSONL
    Import(crate::verbs::import::Arguments),
    /// Writes the trajectories of a run as JSONL
    Export(crate::verbs::export::Arguments),
}
