//! `train`: fine-tunes a model on a file of conversations, or on preferences.

use std::ffi::OsString;
use std::io::{IsTerminal as _, stderr, stdout};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;
use clap::Args;
use eef_agent::{FINE_TUNING, FineTuneData, FineTuneRequest, fine_tune};
use eef_core::{Control, Event, Progress, TrainSummary};
use eef_llama::{LoraConfig, LoraTarget, Precision};
use eef_train::{
    MemoryEstimate, ParameterGroup, PreferenceConfig, RendererObserver, Schedule, TrainConfig,
};

use crate::context::Context;
use crate::progress::Renderer;
use crate::{memory, output};

/// What to fine-tune, and on what.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The model to start from: a Hugging Face directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Conversations, one JSON object a line: {"messages": [{"role": "user", "content": text},
    /// {"role": "assistant", "content": text}, …]}, with "weight": 0 at replies that are context
    /// alone; or preferences: {"messages": […], "chosen": […], "rejected": […]}
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Directory to write the tuned model to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Prints what would be trained and what memory it takes, and whether that is there
    #[arg(long)]
    dry_run: bool,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 3)]
    epochs: usize,
    /// Conversations, or pairs, per optimiser step
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch_size: usize,
    /// Peak learning rate; without it 5e-5, with adapters 2e-4, with preferences 1e-6 (adapters 5e-6)
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// What becomes of the learning rate after the warm-up: cosine, linear or constant
    #[arg(long, value_name = "NAME", default_value = "cosine")]
    schedule: Schedule,
    /// Share of the steps in which the learning rate rises
    #[arg(long, value_name = "SHARE", default_value_t = 0.03)]
    warmup: f64,
    /// AdamW's decoupled weight decay, of matrices
    #[arg(long, value_name = "X", default_value_t = 0.01)]
    weight_decay: f64,
    /// Trains low-rank adapters of this rank beside the frozen weights (LoRA); 0 trains all weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    lora_rank: usize,
    /// Adapters count alpha ÷ rank times; without it twice the rank
    #[arg(long, value_name = "X")]
    lora_alpha: Option<f64>,
    /// The adapted projections: all-linear, or some of q, k, v, o, gate, up, down
    #[arg(long, value_name = "NAMES", default_value = "all-linear")]
    lora_targets: String,
    /// How hard preference training holds the model to where it started
    #[arg(long, value_name = "X", default_value_t = 0.1)]
    beta: f64,
    /// Tokens that go through the model at once
    #[arg(long, value_name = "N", default_value_t = 1024)]
    micro_batch_tokens: usize,
    /// Computes layers again for the backward pass in place of keeping what they computed: a third more
    /// work for much less memory
    #[arg(long)]
    checkpoint_layers: bool,
    /// What matrices are multiplied in: f32, or bf16 for GPUs, where trained weights and the optimiser
    /// stay f32
    #[arg(long, value_name = "NAME", default_value = "f32")]
    precision: Precision,
    /// Parameters with a learning rate of their own, as KIND=FACTOR or KIND=FACTOR,DECAY, such as
    /// embedding=0.1,0 (kinds: embedding, output_layer, normalisation, attention, feed_forward,
    /// adapter_a, adapter_b); may be given several times
    #[arg(long, value_name = "GROUP")]
    group: Vec<ParameterGroup>,
    /// Shows the training in a terminal dashboard, with curves; `q` there stops it with a checkpoint
    /// (Ctrl-C does nothing there)
    #[arg(long, conflicts_with = "dry_run")]
    dashboard: bool,
    /// Optimiser steps between checkpoints, besides those of every epoch; 0 for none
    #[arg(long, value_name = "N", default_value_t = 200)]
    checkpoint_every: u64,
    /// Orders the data and draws the adapters
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Fine-tunes.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let model = context.model_or_base(Some(&arguments.model))?;
    let Some(name) = arguments.out.file_name() else {
        let out = arguments.out.display();
        bail!("--out {out} has no name of its own: name the directory to make");
    };
    let data = FineTuneData::read(&arguments.data, &model)?;
    let train = arguments.train(context, &data)?;
    train.validate()?;
    if arguments.dry_run {
        return plan(context, arguments, &data, &train);
    }
    let mut scratch: OsString = name.to_owned();
    scratch.push(".training");
    let scratch = arguments.out.with_file_name(scratch);
    let request = FineTuneRequest {
        init: &model,
        output: &arguments.out,
        scratch: &scratch,
        train: &train,
        preference: PreferenceConfig { beta: arguments.beta },
        devices: context.global.device.as_deref().unwrap_or("cpu"),
    };
    let summary = if arguments.dashboard {
        train_in_dashboard(context, &request, &data)?
    } else {
        fine_tune(&request, &data, &context.control(), &mut ())?
    };
    let metrics = scratch.join("metrics.jsonl");
    if context.global.json {
        return output::print_json(&serde_json::json!({
            "model": arguments.out, "steps": summary.n_steps, "tokens": summary.n_tokens,
            "trained_tokens": summary.n_trained_tokens, "epoch_losses": summary.epoch_losses,
            "metrics": metrics,
        }));
    }
    let losses: Vec<_> = summary.epoch_losses.iter().map(|loss| format!("{loss:.4}")).collect();
    let (out, losses) = (arguments.out.display(), losses.join(" "));
    output::print(&format!("{out}: loss by epoch {losses}\n{}: every step\n", metrics.display()))
}

/// Fine-tunes with burn-train's dashboard on the terminal in place of the progress line.
fn train_in_dashboard(
    context: &Context,
    request: &FineTuneRequest<'_>,
    data: &FineTuneData,
) -> anyhow::Result<TrainSummary> {
    if !(stdout().is_terminal() && stderr().is_terminal()) {
        bail!("--dashboard draws on a terminal, and this is none: leave it out");
    }
    // What else writes to the terminal would be written across it, once it is there.
    let before = Before { progress: &context.progress, is_over: AtomicBool::new(false) };
    let control = Control::new(&before, context.interrupt.clone());
    let mut dashboard = RendererObserver::dashboard();
    Ok(fine_tune(request, data, &control, &mut dashboard)?)
}

/// Shows progress until the training itself begins.
struct Before<'a> {
    progress: &'a Renderer,
    is_over: AtomicBool,
}

impl Progress for Before<'_> {
    fn report(&self, event: Event) {
        if matches!(&event, Event::Started { phase, .. } if phase == FINE_TUNING) {
            self.is_over.store(true, Ordering::Relaxed);
        }
        if !self.is_over.load(Ordering::Relaxed) {
            self.progress.report(event);
        }
    }
}

impl Arguments {
    fn train(&self, context: &Context, data: &FineTuneData) -> anyhow::Result<TrainConfig> {
        let has_adapters = self.lora_rank > 0;
        let usual = match (data, has_adapters) {
            (FineTuneData::Examples(_), false) => 5e-5,
            (FineTuneData::Examples(_), true) => 2e-4,
            (FineTuneData::Pairs(_), false) => 1e-6,
            (FineTuneData::Pairs(_), true) => 5e-6,
        };
        let lora = LoraConfig {
            rank: self.lora_rank,
            alpha: self.lora_alpha.unwrap_or(2.0 * self.lora_rank as f64),
            targets: LoraTarget::parse_list(&self.lora_targets)?,
            seed: self.seed,
            ..LoraConfig::default()
        };
        let defaults = TrainConfig::default();
        Ok(TrainConfig {
            n_epochs: self.epochs,
            batch_size: self.batch_size,
            micro_batch_tokens: self.micro_batch_tokens,
            learning_rate: self.learning_rate.unwrap_or(usual),
            schedule: self.schedule,
            warmup_fraction: self.warmup,
            adamw: eef_train::AdamWConfig { weight_decay: self.weight_decay, ..defaults.adamw },
            checkpoint_every_steps: self.checkpoint_every,
            checkpoint_layers: self.checkpoint_layers,
            precision: self.precision,
            groups: self.group.clone(),
            n_workers: context.global.threads.unwrap_or(0),
            lora: has_adapters.then_some(lora),
            seed: self.seed,
            ..defaults
        })
    }
}

/// What would be trained, and the memory for it.
fn plan(
    context: &Context,
    arguments: &Arguments,
    data: &FineTuneData,
    train: &TrainConfig,
) -> anyhow::Result<()> {
    let memory = data.memory(&arguments.model, train)?;
    // What a card has is not known before it is asked, and that compiles kernels.
    let is_cpu = context
        .global
        .device
        .as_deref()
        .is_none_or(|devices| devices.split(',').all(|device| device == "cpu"));
    let available = memory::available().filter(|_| is_cpu);
    let sequences = data.sequences();
    let n_tokens: usize = sequences.iter().map(|example| example.n_tokens()).sum();
    let n_trained: usize = sequences.iter().map(|example| example.n_trained()).sum();
    let longest = sequences.iter().map(|example| example.n_tokens()).max().unwrap_or(0);
    let fits = available.map(|available| memory.total() <= available);
    if context.global.json {
        return output::print_json(&serde_json::json!({
            "units": data.len(), "steps": train.n_steps(data.len()), "tokens_per_epoch": n_tokens,
            "trained_tokens_per_epoch": n_trained, "longest": longest,
            "learning_rate": train.learning_rate, "memory": memory, "memory_total": memory.total(),
            "memory_available": available, "fits": fits,
        }));
    }
    let kind = match data {
        FineTuneData::Examples(_) => "conversations",
        FineTuneData::Pairs(_) => "pairs of chosen and rejected ones",
    };
    let count = |n: usize| output::count(n as u64);
    let mut text = format!(
        "{} {kind}, {} tokens ({} trained), the longest {}\n{} steps, peak learning rate {:e}\n\n",
        count(data.len()),
        count(n_tokens),
        count(n_trained),
        count(longest),
        output::count(train.n_steps(data.len())),
        train.learning_rate,
    );
    text.push_str(&table(&memory));
    text.push_str(&verdict(arguments, &memory, available));
    output::print(&text)
}

fn table(memory: &MemoryEstimate) -> String {
    let mut table = output::Table::new(&["memory, about", "GB"]);
    let trained = output::count(memory.n_trained_parameters);
    let all = output::count(memory.n_parameters);
    let rows = [
        (format!("weights ({all})"), memory.weights),
        (format!("gradients ({trained} trained)"), memory.gradients),
        ("optimiser's moments".to_owned(), memory.optimiser),
        ("activations".to_owned(), memory.activations),
        ("logits".to_owned(), memory.logits),
        ("while a checkpoint is written".to_owned(), memory.checkpoint),
        ("at the peak".to_owned(), memory.total()),
    ];
    for (what, bytes) in rows {
        table.row([what, gigabytes(bytes)]);
    }
    table.render()
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e9)
}

/// Whether it fits, and what helps where it does not.
fn verdict(arguments: &Arguments, memory: &MemoryEstimate, available: Option<u64>) -> String {
    let Some(available) = available else {
        return "How much the device has is not known here.\n".to_owned();
    };
    let (needed, there) = (gigabytes(memory.total()), gigabytes(available));
    if memory.total() <= available {
        return format!("It fits: {there} GB are free.\n");
    }
    let helps = [
        (arguments.lora_rank == 0, "--lora-rank 8 (adapters alone are trained)"),
        (!arguments.checkpoint_layers, "--checkpoint-layers"),
        (true, "a smaller --micro-batch-tokens"),
        (true, "--threads 1"),
    ];
    let helps: Vec<_> =
        helps.into_iter().filter_map(|(is_left, what)| is_left.then_some(what)).collect();
    format!(
        "It does NOT fit: {needed} GB are needed and {there} GB free. What helps: {}.\n",
        helps.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(lora_rank: usize) -> Arguments {
        use clap::Parser as _;
        let rank = lora_rank.to_string();
        let line = ["eef-cli", "train", "--model", "m", "--data", "d", "--out", "o", "--lora-rank"];
        let line = line.into_iter().chain([rank.as_str()]);
        match crate::arguments::Arguments::try_parse_from(line).unwrap().verb {
            crate::arguments::Verb::Train(arguments) => arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_does_not_fit_says_what_helps() {
        let memory = MemoryEstimate {
            n_parameters: 10,
            n_trained_parameters: 10,
            weights: 4_000_000_000,
            gradients: 4_000_000_000,
            optimiser: 8_000_000_000,
            activations: 1_000_000_000,
            logits: 0,
            checkpoint: 12_000_000_000,
        };
        // The copy for a checkpoint is more than gradients and activations.
        let fits = verdict(&arguments(0), &memory, Some(24_000_000_000));
        assert_eq!(fits, "It fits: 24.00 GB are free.\n");
        let text = verdict(&arguments(0), &memory, Some(23_900_000_000));
        assert!(text.contains("NOT") && text.contains("--lora-rank 8"), "{text}");
        let text = verdict(&arguments(4), &memory, Some(1));
        assert!(!text.contains("--lora-rank") && text.contains("--checkpoint-layers"), "{text}");
        assert!(verdict(&arguments(0), &memory, None).contains("not known"));
    }
}
