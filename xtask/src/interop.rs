//! `cargo xtask interop`: what this program writes, in the programs of others.
//!
//! Torch is several gigabytes: this is for whoever wants to see it, not for every change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::Value;

use crate::prepare_data::{say, tell};
use crate::process;

/// How far logits of an adapter may be off between peft and our merged weights.
const MOST: f64 = 1e-3;

/// Prompts of the continuations, and how many tokens of each.
const PROMPTS: [&str; 4] = ["Once upon a time", "The capital of France is", "1 2 3 4", "def f(x):"];
const N_TOKENS: &str = "24";

#[derive(Args)]
pub struct InteropArguments {
    /// Model directory that this program wrote
    #[arg(long, value_name = "DIR", required_unless_present = "training")]
    model: Option<PathBuf>,
    /// Lets torch train tiny models anew (it writes over crates/eef-train/tests/torch), and holds our
    /// training against that
    #[arg(long)]
    training: bool,
    /// Directory of a training with `train.lora_rank`: adapter and merged weights
    #[arg(long, value_name = "DIR", requires = "base")]
    adapter: Option<PathBuf>,
    /// The model that this training began with
    #[arg(long, value_name = "DIR", requires = "adapter")]
    base: Option<PathBuf>,
    /// A Python that has torch, transformers and peft; without it one is made in target/interop
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &InteropArguments) -> anyhow::Result<()> {
    let folder = process::target_folder()?.join("interop");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let python = match &arguments.python {
        Some(python) => python.clone(),
        None => environment(&folder)?,
    };
    if arguments.training {
        training(&python)?;
    }
    let Some(model) = &arguments.model else { return Ok(()) };
    let said = folder.join("continuations.jsonl");
    fs::write(&said, continuations(model)?)
        .with_context(|| format!("cannot write {}", said.display()))?;
    let script = folder.join("interop.py");
    fs::write(&script, include_str!("interop.py"))
        .with_context(|| format!("cannot write {}", script.display()))?;
    let mut command = Command::new(&python);
    command.arg(&script).arg(model).arg(&said);
    if let (Some(adapter), Some(base)) = (&arguments.adapter, &arguments.base) {
        command.arg(base).arg(adapter);
    }
    tell("comparing with transformers");
    let output = process::output(&mut command)?;
    for line in output.lines().filter(|line| line.starts_with('{')) {
        say(line);
        check(&serde_json::from_str(line)?)?;
    }
    ensure!(output.contains("\"check\""), "{} printed nothing", script.display());
    Ok(())
}

/// Twenty steps of each kind in torch, then the same in ours.
fn training(python: &Path) -> anyhow::Result<()> {
    tell("training with torch");
    let script = process::workspace_root()?.join("crates/eef-train/tests/torch/make.py");
    process::run(Command::new(python).arg(script))?;
    tell("training here");
    let arguments = ["test", "--release", "--workspace", "--test", "torch"];
    process::run(&mut process::cargo(&arguments)?)
}

/// What our generator says, with the prompt of each continuation.
fn continuations(model: &Path) -> anyhow::Result<String> {
    let mut command = process::cargo(&["run", "--release", "--quiet", "-p", "eef-cli", "--"])?;
    command.args(["generate", "--raw", "--json", "--max-new-tokens", N_TOKENS, "--model"]);
    // Cargo runs in the workspace's root.
    command.arg(std::path::absolute(model)?);
    for prompt in PROMPTS {
        command.args(["--prompt", prompt]);
    }
    tell("generating");
    let mut text = String::new();
    for (line, prompt) in process::output(&mut command)?.lines().zip(PROMPTS) {
        let mut record: Value = serde_json::from_str(line)?;
        record["source"] = prompt.into();
        text.extend([record.to_string().as_str(), "\n"]);
    }
    Ok(text)
}

fn check(record: &Value) -> anyhow::Result<()> {
    ensure!(record["cases"].as_u64().unwrap_or(0) > 0, "nothing was compared");
    if let Some(differing) = record["differing"].as_array() {
        ensure!(differing.is_empty(), "continuations differ: {differing:?}");
    }
    if let Some(difference) = record["largest_difference"].as_f64() {
        ensure!(difference < MOST, "logits differ by {difference}, more than {MOST}");
        let to_base = record["difference_to_base"].as_f64().unwrap_or(0.0);
        ensure!(to_base > MOST, "the adapter changes nothing: there is nothing to compare");
    }
    Ok(())
}

/// A Python with what is needed, made once.
fn environment(folder: &Path) -> anyhow::Result<PathBuf> {
    let venv = folder.join("venv");
    let python = venv.join("bin").join("python");
    if !python.exists() {
        tell("making a Python environment with torch, transformers and peft: some gigabytes");
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    process::run(Command::new(&python).args([
        "-m",
        "pip",
        "install",
        "-q",
        "torch",
        "transformers",
        "peft",
        "safetensors",
    ]))?;
    Ok(python)
}
