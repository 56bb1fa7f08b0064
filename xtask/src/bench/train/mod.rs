//! `cargo xtask bench train`: training beside torch with transformers, in turns on one machine.

mod sequences;
mod tiny;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use eef_core::Seed;
use serde::Deserialize;

use super::figures::{Table, spread};
use super::process_tree;
use crate::prepare_data::{say, tell};
use crate::process;
use sequences::Sequence;

#[derive(Args)]
pub struct TrainArguments {
    /// Model directory; SmolLM2 135M is what our figures are of
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A Python that has torch and transformers; without it they are not measured
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Threads of every program
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    /// How often each program runs; they take turns, so that a busy machine is busy for all
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Optimiser steps that count, after one that does not
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Only these kinds of work
    #[arg(long, value_delimiter = ',', default_values = ["language", "trajectories", "tiny-language", "tiny-trajectories"])]
    only: Vec<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// 2 sequences of 512 tokens, all trained
    Language,
    /// 4 trajectories of about 1,000 tokens, a fifth of them trained
    Trajectories,
    /// 16 sequences of 512 tokens, all trained, on a model of 4 layers of 256
    TinyLanguage,
    /// 16 trajectories of about 1,000 tokens, on the same
    TinyTrajectories,
}

/// What is trained, as it was written down for all programs.
struct Work {
    name: String,
    model: PathBuf,
    examples: PathBuf,
    batch_size: usize,
    padding: f64,
}

#[derive(Deserialize)]
struct Measured {
    tokens: u64,
    seconds: f64,
    peak_bytes: Option<u64>,
    losses: Vec<f64>,
}

/// Largest relative difference between first losses of programs that train the same.
const LOSS_TOLERANCE: f64 = 1e-3;

/// Runs the command.
pub fn run(arguments: &TrainArguments) -> anyhow::Result<()> {
    let target = process::target_folder()?;
    tell("building eef-cli");
    process::run(&mut process::cargo(&["build", "--release", "--quiet", "--workspace"])?)?;
    let program = target.join("release").join("eef-cli");
    let folder = target.join("bench-train");
    let tiny = folder.join("tiny");
    tiny::write(&tiny)?;
    let script = folder.join("train_peers.py");
    std::fs::write(&script, include_str!("../train_peers.py"))
        .with_context(|| format!("cannot write {}", script.display()))?;

    let mut table = Table::default();
    let mut notes = Vec::new();
    for kind in &arguments.only {
        let work = kind.write(arguments, &tiny, &folder)?;
        let mut commands = vec![("eef", ours(arguments, &program, &work))];
        if let Some(python) = &arguments.python {
            commands.push(("torch", peer(arguments, python, &script, &work)));
        }
        let mut first_losses = Vec::new();
        for round in 1..=arguments.rounds {
            for (name, command) in &mut commands {
                tell(&format!("{}, round {round} of {}: {name}", work.name, arguments.rounds));
                let (text, tree_bytes) = process_tree::output_and_peak(command)?;
                let measured: Measured = serde_json::from_str(text.trim())
                    .with_context(|| format!("{name} printed {text}"))?;
                let peak = tree_bytes.max(measured.peak_bytes.unwrap_or(0));
                table.add(&work.name, name, measured.tokens as f64 / measured.seconds, peak);
                first_losses.push(measured.losses.first().copied().unwrap_or(f64::NAN));
            }
        }
        check_losses(&work.name, &first_losses)?;
        if work.padding > 0.0 {
            notes.push(format!("{:.0} % in {}", 100.0 * work.padding, work.name));
        }
    }
    say(&table.render()?);
    say(&format!(
        "\nTokens per second in f32 on {} threads: forward, backward, clipping and AdamW on all weights; \
         counted steps: {}, after one that is not; median (lowest to highest) of rounds in turns: {}. \
         Padding is no token; it is what torch computes besides: {}. Peak memory of the process and \
         all that it started. A ratio is the median of the rounds' ratios.",
        arguments.threads,
        arguments.steps,
        arguments.rounds,
        if notes.is_empty() { "nothing here".to_owned() } else { notes.join("; ") },
    ));
    Ok(())
}

impl Kind {
    /// Writes what is trained on.
    fn write(self, arguments: &TrainArguments, tiny: &Path, folder: &Path) -> anyhow::Result<Work> {
        let (stem, batch_size, is_tiny, is_language) = match self {
            Self::Language => ("language", 2, false, true),
            Self::Trajectories => ("trajectories", 4, false, false),
            Self::TinyLanguage => ("tiny-language", 16, true, true),
            Self::TinyTrajectories => ("tiny-trajectories", 16, true, false),
        };
        let model = if is_tiny { tiny } else { &arguments.model };
        let vocabulary = if is_tiny { tiny::VOCABULARY } else { vocabulary(model)? };
        let n = batch_size * (1 + arguments.steps as usize);
        let seed = Seed::new(1).derive(stem, 0);
        let sequences: Vec<Sequence> = if is_language {
            sequences::language(seed, n, 512, vocabulary)
        } else {
            sequences::trajectories(seed, n, vocabulary)
        };
        let lengths = if is_language { "512" } else { "~1000, 20 % trained" };
        let examples = folder.join(format!("{stem}.json"));
        std::fs::write(&examples, serde_json::to_vec(&sequences)?)
            .with_context(|| format!("cannot write {}", examples.display()))?;
        Ok(Work {
            name: format!("{} {batch_size}x{lengths}", stem.replace('-', " ")),
            model: model.to_owned(),
            examples,
            batch_size,
            padding: sequences::padding(&sequences, batch_size),
        })
    }
}

fn vocabulary(model: &Path) -> anyhow::Result<usize> {
    #[derive(Deserialize)]
    struct Config {
        vocab_size: usize,
    }
    let path = model.join("config.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let config: Config = serde_json::from_slice(&text)
        .with_context(|| format!("{} names no vocab_size", path.display()))?;
    Ok(config.vocab_size)
}

fn ours(arguments: &TrainArguments, program: &Path, work: &Work) -> Command {
    let mut command = Command::new(program);
    command.args(["bench", "--json", "--model"]).arg(&work.model);
    command.arg("--train").arg(&work.examples);
    command.args(["--batch-size", &work.batch_size.to_string()]);
    command.args(["--threads", &arguments.threads.to_string()]);
    command
}

fn peer(arguments: &TrainArguments, python: &Path, script: &Path, work: &Work) -> Command {
    let mut command = Command::new(python);
    command.arg(script).arg(&work.model).arg(&work.examples);
    command.args(["--batch-size", &work.batch_size.to_string()]);
    command.args(["--threads", &arguments.threads.to_string()]);
    command
}

/// Programs that train the same examples from the same weights begin with the same loss; another
/// one means that they were not given the same work.
fn check_losses(work: &str, first_losses: &[f64]) -> anyhow::Result<()> {
    let (low, middle, high) = spread(first_losses.to_vec());
    ensure!(
        (high - low) <= LOSS_TOLERANCE * middle,
        "{work}: the first losses differ ({low} to {high}), so this was not the same training"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_begin_with_other_losses_are_not_compared() {
        assert!(check_losses("a", &[8.3151, 8.3152]).is_ok());
        let error = check_losses("a", &[8.31, 8.35]).unwrap_err().to_string();
        assert!(error.contains("8.31 to 8.35"), "{error}");
        assert!(check_losses("a", &[8.31, f64::NAN]).is_err());
    }
}
