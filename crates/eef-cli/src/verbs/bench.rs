//! `bench`: how fast a model generates on this machine, or is trained.

mod train;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use eef_core::{Event, Progress};
use eef_llama::{
    Generator, GeneratorConfig, InferenceModel, Llama, LlamaConfig, Precision, Workload, device,
};
use eef_rollout::RolloutError;
use serde::Serialize;

use crate::context::Context;
use crate::output::{self, Table};

/// What to measure.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Model directory; without it the embedded base model
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Random weights in the shape of a model known by name, instead of a directory
    #[arg(long, value_name = "NAME", conflicts_with = "model")]
    preset: Option<String>,
    /// What matrices are kept and multiplied in: f32, or bf16, which is for GPUs
    #[arg(long, value_name = "NAME", default_value_t = Precision::F32)]
    precision: Precision,
    /// Sequences continued at once by `decode`
    #[arg(long, value_name = "N", value_delimiter = ',', default_values = ["1", "8", "32"])]
    batch: Vec<usize>,
    /// Only these kinds of work
    #[arg(long, value_delimiter = ',', default_values = ["prefill", "decode", "rollouts"])]
    only: Vec<Kind>,
    /// Runs of each kind but the rollouts, after one that is not counted; the fastest is told
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Tasks of the rollouts: six rollouts each, from shared expert prefixes, over six turns
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=4096))]
    tasks: u64,
    /// Measures training in place of generation: AdamW steps on all weights in f32, on token ids and
    /// masks of a JSON file, [{"token_ids": [1, …], "trained": [false, …]}, …], each example once
    #[arg(long, value_name = "FILE", conflicts_with_all = ["precision", "batch", "only", "repeats", "tasks"])]
    train: Option<PathBuf>,
    /// Examples of a training step; the first step is not counted
    #[arg(long, value_name = "N", default_value_t = 8, requires = "train", value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Reading a prompt of 512 tokens
    Prefill,
    /// Continuing sequences from 256 tokens
    Decode,
    /// Rollouts as EEF makes them
    Rollouts,
}

#[derive(Serialize)]
struct Measured {
    work: String,
    tokens: u64,
    seconds: f64,
    /// Most memory that the program has held so far; none where the system does not tell.
    peak_bytes: Option<u64>,
}

/// Tokens that a sequence has before `decode` continues it, and how many it adds.
const DECODE_CONTEXT: u64 = 256;
const DECODE_TOKENS: u64 = 16;

/// Most sequences that are continued at once.
const MOST_SEQUENCES: usize = 1024;

/// Measures.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(
        arguments.batch.iter().all(|n| (1..=MOST_SEQUENCES).contains(n)),
        "--batch: expected numbers from 1 to {MOST_SEQUENCES}"
    );
    let n_threads = context.global.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
    pool.context("cannot start threads")?.install(|| {
        let (name, llama) = open(context, arguments)?;
        match &arguments.train {
            Some(file) => train::run(context, (name, llama), file, arguments.batch_size as usize),
            None => measure(context, arguments, (name, llama)),
        }
    })
}

/// The model and what to call it.
fn open(context: &Context, arguments: &Arguments) -> anyhow::Result<(String, Llama)> {
    ensure!(
        arguments.preset.is_none()
            || (context.global.config.is_none() && context.global.overrides.is_empty()),
        "--preset takes no --config and no --set: nothing of them would be used"
    );
    let (device, precision) = (device(device_name(context))?, arguments.precision);
    Ok(if let Some(preset) = &arguments.preset {
        let config = LlamaConfig::preset(preset)?;
        (preset.clone(), Llama::init_as(&config, 0, &device, precision)?)
    } else {
        let directory = context.model_or_base(arguments.model.as_ref())?;
        let llama = Llama::load_as(&directory, &device, precision)?;
        (directory.display().to_string(), llama)
    })
}

fn device_name(context: &Context) -> &str {
    context.global.device.as_deref().unwrap_or("cpu")
}

fn measure(
    context: &Context,
    arguments: &Arguments,
    (name, llama): (String, Llama),
) -> anyhow::Result<()> {
    let model = InferenceModel::from(llama);
    let longest = model.config().max_position_embeddings as u64;
    let mut workloads = Vec::new();
    for kind in &arguments.only {
        match kind {
            Kind::Prefill => {
                workloads.push(Workload::Prefill { n_sequences: 1, length: 512.min(longest / 2) });
            }
            Kind::Decode => workloads.extend(arguments.batch.iter().map(|n| Workload::Decode {
                n_sequences: *n as u64,
                context: DECODE_CONTEXT.min(longest / 2),
                n_tokens: DECODE_TOKENS as usize,
            })),
            Kind::Rollouts => workloads.push(Workload::Rollouts { n_tasks: arguments.tasks }),
        }
    }
    let total = workloads.len() as u64;
    let phase = format!("measuring {name}");
    context.progress.report(Event::Started { phase, unit: "kinds of work", total });
    let default = GeneratorConfig::default();
    let max_sequences = arguments.batch.iter().copied().fold(default.max_sequences, usize::max);
    // All of them must fit at once: where one waits, its prompt is read again within the time.
    let longest = (DECODE_CONTEXT + DECODE_TOKENS) as usize;
    let needed = max_sequences * Generator::cache_bytes_of(model.config(), longest);
    let max_cache_bytes = default.max_cache_bytes.max(needed);
    let config = GeneratorConfig { max_sequences, max_cache_bytes, ..default };
    let mut table = Table::new(&["work", "tokens", "seconds", "tokens/s", "host memory"]);
    for (done, workload) in workloads.into_iter().enumerate() {
        let mut generator = Generator::new(model.clone(), config.clone())?;
        let (mut tokens, mut seconds) = (0, f64::INFINITY);
        // Rollouts are long enough to warm up by themselves.
        let is_long = matches!(workload, Workload::Rollouts { .. });
        for repeat in 0..if is_long { 1 } else { 1 + arguments.repeats } {
            workload.prepare(&mut generator)?;
            let start = Instant::now();
            tokens = workload.run(&mut generator)?;
            if repeat > 0 || is_long {
                seconds = seconds.min(start.elapsed().as_secs_f64());
            }
            if context.interrupt.is_requested() {
                let (n_committed, n_units) = (done, total as usize);
                return Err(RolloutError::Interrupted { n_committed, n_units }.into());
            }
        }
        let peak_bytes = peak_bytes();
        let measured = Measured { work: workload.to_string(), tokens, seconds, peak_bytes };
        if context.global.json {
            output::print(&format!("{}\n", serde_json::to_string(&measured)?))?;
        }
        table.row([
            measured.work,
            output::count(tokens),
            format!("{seconds:.3}"),
            format!("{:.1}", tokens as f64 / seconds),
            gigabytes(peak_bytes),
        ]);
        let note = String::new();
        context.progress.report(Event::Advanced { done: done as u64 + 1, note });
    }
    context.progress.clear();
    if context.global.json {
        return Ok(());
    }
    let config = model.config();
    output::print(&format!(
        "{name} in {} on {}, {} threads, {} layers of {}, vocabulary of {}\n\n{}",
        arguments.precision,
        device_name(context),
        rayon::current_num_threads(),
        config.num_hidden_layers,
        config.hidden_size,
        config.vocab_size,
        table.render()
    ))
}

fn gigabytes(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9))
}

/// What Linux tells of this process.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}
