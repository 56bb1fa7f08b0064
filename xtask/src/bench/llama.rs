//! `cargo xtask bench llama`: generation beside torch and llama.cpp, in turns on one machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;

use super::figures::Table;
use crate::prepare_data::{say, tell};
use crate::process;

#[derive(Args)]
pub struct LlamaArguments {
    /// Model directory; SmolLM2 135M is what our figures are of
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A Python that has torch and transformers; without it they are not measured
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// The same model as GGUF in F32, for llama.cpp through the Python's llama-cpp-python
    #[arg(long, value_name = "FILE", requires = "python")]
    gguf: Option<PathBuf>,
    /// Threads of every program
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    /// How often each program runs; they take turns, so that a busy machine is busy for all
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Tasks of our rollouts; a peer works on two, one conversation after the other
    #[arg(long, value_name = "N", default_value_t = 32)]
    tasks: usize,
    /// Only these kinds of work: prefill, decode, rollouts
    #[arg(long, default_value = "prefill,decode,rollouts")]
    only: String,
}

#[derive(Deserialize)]
struct Measured {
    work: String,
    tokens: u64,
    seconds: f64,
    peak_bytes: Option<u64>,
}

/// Runs the command.
pub fn run(arguments: &LlamaArguments) -> anyhow::Result<()> {
    let folder = process::target_folder()?;
    tell("building eef-cli");
    process::run(&mut process::cargo(&["build", "--release", "--quiet", "--workspace"])?)?;
    let program = folder.join("release").join("eef-cli");
    let script = folder.join("llama_peers.py");
    std::fs::write(&script, include_str!("llama_peers.py"))
        .with_context(|| format!("cannot write {}", script.display()))?;

    let mut commands = vec![("eef", ours(arguments, &program))];
    if let Some(python) = &arguments.python {
        let peer = |name, model: &Path| {
            let mut command = Command::new(python);
            command.arg(&script).arg(name).arg(model).args(["--only", &arguments.only]);
            command.args(["--threads", &arguments.threads.to_string()]);
            command
        };
        commands.push(("torch", peer("torch", &arguments.model)));
        if let Some(gguf) = &arguments.gguf {
            commands.push(("llama.cpp", peer("llama.cpp", gguf)));
        }
    }
    let mut table = Table::default();
    for round in 1..=arguments.rounds {
        for (name, command) in &mut commands {
            tell(&format!("round {round} of {}: {name}", arguments.rounds));
            for line in process::output(command)?.lines().filter(|line| line.starts_with('{')) {
                let measured: Measured =
                    serde_json::from_str(line).with_context(|| format!("{name} printed {line}"))?;
                let rate = measured.tokens as f64 / measured.seconds;
                table.add(&measured.work, name, rate, measured.peak_bytes.unwrap_or(0));
            }
        }
    }
    say(&table.render()?);
    say(&format!(
        "\nTokens per second in f32 on {} threads, median (lowest to highest) of {} rounds in turns; \
         peak memory up to the end of that work. A ratio is the median of the rounds' ratios.",
        arguments.threads, arguments.rounds
    ));
    Ok(())
}

fn ours(arguments: &LlamaArguments, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["bench", "--json", "--model"]).arg(&arguments.model);
    command.args(["--threads", &arguments.threads.to_string(), "--only", &arguments.only]);
    command.args(["--repeats", "2", "--tasks", &arguments.tasks.to_string()]);
    command
}
