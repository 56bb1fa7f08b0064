//! `cargo xtask bench llama`: generation beside torch and llama.cpp, in turns on one machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;

use super::figures::{ratio, row, spread};
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

/// What one program did in all rounds.
#[derive(Default)]
struct Figures {
    /// Tokens per second of each round.
    rates: Vec<f64>,
    peak_bytes: u64,
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
    let mut order = Vec::new();
    let mut figures: BTreeMap<(String, &str), Figures> = BTreeMap::new();
    for round in 1..=arguments.rounds {
        for (name, command) in &mut commands {
            tell(&format!("round {round} of {}: {name}", arguments.rounds));
            for line in process::output(command)?.lines().filter(|line| line.starts_with('{')) {
                let measured: Measured =
                    serde_json::from_str(line).with_context(|| format!("{name} printed {line}"))?;
                if !order.contains(&measured.work) {
                    order.push(measured.work.clone());
                }
                let figures = figures.entry((measured.work, name)).or_default();
                figures.rates.push(measured.tokens as f64 / measured.seconds);
                figures.peak_bytes = figures.peak_bytes.max(measured.peak_bytes.unwrap_or(0));
            }
        }
    }
    ensure!(!figures.is_empty(), "nothing was measured");
    let names: Vec<&str> = commands.iter().map(|(name, _)| *name).collect();
    say(&table(&order, &names, &figures));
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

/// A Markdown table.
fn table(order: &[String], names: &[&str], figures: &BTreeMap<(String, &str), Figures>) -> String {
    let mut headings = vec!["work".to_owned()];
    for name in names {
        headings.extend([format!("{name} tokens/s"), "GB".to_owned()]);
    }
    headings.extend(names.iter().skip(1).map(|name| format!("eef / {name}")));
    let mut lines = vec![row(&headings), row(&vec!["---".to_owned(); headings.len()])];
    for work in order {
        let of = |name: &str| figures.iter().find(|((w, n), _)| w == work && *n == name);
        let mut cells = vec![work.clone()];
        for name in names {
            match of(name) {
                Some((_, Figures { rates, peak_bytes })) => {
                    let (low, middle, high) = spread(rates.clone());
                    cells.push(format!("{middle:.1} ({low:.1} to {high:.1})"));
                    cells.push(format!("{:.2}", *peak_bytes as f64 / 1e9));
                }
                None => cells.extend(["–".to_owned(), "–".to_owned()]),
            }
        }
        for name in names.iter().skip(1) {
            let ratio = of(names[0]).zip(of(name)).map(|((_, ours), (_, theirs))| {
                format!("{:.2}", ratio(&ours.rates, &theirs.rates))
            });
            cells.push(ratio.unwrap_or_else(|| "–".to_owned()));
        }
        lines.push(row(&cells));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_medians_and_ratios_of_rounds() {
        let figures = |rates: &[f64]| Figures { rates: rates.to_vec(), peak_bytes: 500_000_000 };
        let all = BTreeMap::from([
            (("decode".to_owned(), "eef"), figures(&[30.0, 10.0, 20.0])),
            (("decode".to_owned(), "torch"), figures(&[10.0, 5.0, 5.0])),
            (("prefill".to_owned(), "eef"), figures(&[7.0])),
        ]);
        let order = ["prefill".to_owned(), "decode".to_owned()];
        let text = table(&order, &["eef", "torch"], &all);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "| work | eef tokens/s | GB | torch tokens/s | GB | eef / torch |");
        assert_eq!(lines[2], "| prefill | 7.0 (7.0 to 7.0) | 0.50 | – | – | – |");
        let decode = "| decode | 20.0 (10.0 to 30.0) | 0.50 | 5.0 (5.0 to 10.0) | 0.50 | 3.00 |";
        assert_eq!(lines[3], decode);
    }
}
