//! `bench --train`: how fast a model is trained on this machine.

use std::path::Path;

use anyhow::{Context as _, ensure};
use eef_core::{Event, Progress};
use eef_llama::{Llama, Precision};
use eef_train::{
    Order, Schedule, StepReport, TrainConfig, TrainExample, TrainObserver, measure_steps,
};
use serde::{Deserialize, Serialize};

use super::{device_name, gigabytes, peak_bytes};
use crate::context::Context;
use crate::output::{self, Table};

/// Too small to lead a model astray that is measured and thrown away.
const LEARNING_RATE: f64 = 1e-5;

/// One sequence of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    token_ids: Vec<u32>,
    /// Whether each token is trained.
    trained: Vec<bool>,
}

#[derive(Serialize)]
struct Measured {
    work: String,
    tokens: u64,
    trained_tokens: u64,
    seconds: f64,
    peak_bytes: Option<u64>,
    /// Mean loss per trained token before each step, with the one that is not counted (nats).
    losses: Vec<f64>,
}

/// Keeps the reports, shows the steps and stops on Ctrl-C.
struct Watch<'a> {
    context: &'a Context,
    reports: Vec<StepReport>,
}

impl TrainObserver for Watch<'_> {
    fn stepped(&mut self, report: &StepReport) {
        self.reports.push(*report);
        let note = format!("{:.0} tokens/s", report.tokens_per_second);
        self.context.progress.report(Event::Advanced { done: report.step, note });
    }

    fn should_stop(&mut self) -> bool {
        self.context.interrupt.is_requested()
    }
}

/// Trains on the examples of a file, `batch_size` at a step and each once; the first step is not
/// counted.
pub fn run(
    context: &Context,
    (name, model): (String, Llama),
    file: &Path,
    batch_size: usize,
) -> anyhow::Result<()> {
    let examples = read(file)?;
    let defaults = TrainConfig::default();
    let n_workers = rayon::current_num_threads();
    // A thread works on a micro-batch: no fewer of them than threads.
    let of_step: usize = examples.iter().take(batch_size).map(TrainExample::n_tokens).sum();
    let micro_batch_tokens = of_step.div_ceil(n_workers).min(defaults.micro_batch_tokens);
    let config = TrainConfig {
        n_epochs: 1,
        batch_size,
        learning_rate: LEARNING_RATE,
        schedule: Schedule::Constant,
        warmup_fraction: 0.0,
        micro_batch_tokens,
        n_workers,
        order: Order::AsGiven,
        ..defaults
    };
    let n_steps = config.n_steps(examples.len());
    ensure!(
        n_steps > 1,
        "{} has {} examples, which is one step of {batch_size}: the first step is not counted, so \
         give more, or a smaller --batch-size",
        file.display(),
        examples.len()
    );
    let shape = model.config().clone();
    let phase = format!("training {name}");
    context.progress.report(Event::Started { phase, unit: "steps", total: n_steps });
    let mut watch = Watch { context, reports: Vec::new() };
    measure_steps(&config, model, &examples, &mut watch)?;
    context.progress.clear();
    let measured = measured(&watch.reports, batch_size);
    if context.global.json {
        return output::print(&format!("{}\n", serde_json::to_string(&measured)?));
    }
    let Measured { work, tokens, trained_tokens, seconds, peak_bytes, .. } = measured;
    let headings = ["work", "tokens", "trained", "seconds", "tokens/s", "trained/s", "host memory"];
    let mut table = Table::new(&headings);
    table.row([
        work,
        output::count(tokens),
        output::count(trained_tokens),
        format!("{seconds:.3}"),
        format!("{:.1}", tokens as f64 / seconds),
        format!("{:.1}", trained_tokens as f64 / seconds),
        gigabytes(peak_bytes),
    ]);
    output::print(&format!(
        "{name} in {} on {}, {} threads, {} layers of {}, vocabulary of {}\n\n{}",
        Precision::F32,
        device_name(context),
        rayon::current_num_threads(),
        shape.num_hidden_layers,
        shape.hidden_size,
        shape.vocab_size,
        table.render()
    ))
}

fn read(file: &Path) -> anyhow::Result<Vec<TrainExample>> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let wants = "expected a list of {\"token_ids\": [1, …], \"trained\": [false, …]}";
    let sequences: Vec<Sequence> =
        serde_json::from_slice(&text).with_context(|| format!("{}: {wants}", file.display()))?;
    let example = |(number, Sequence { token_ids, trained }): (usize, Sequence)| {
        let place = || format!("{}: example {number}", file.display());
        TrainExample::new(token_ids, trained).with_context(place)
    };
    sequences.into_iter().enumerate().map(example).collect()
}

/// Sums the steps but the first.
fn measured(reports: &[StepReport], batch_size: usize) -> Measured {
    let counted = reports.get(1..).unwrap_or_default();
    Measured {
        work: format!("train {} steps of {batch_size}", counted.len()),
        tokens: counted.iter().map(|report| report.n_tokens).sum(),
        trained_tokens: counted.iter().map(|report| report.n_trained_tokens).sum(),
        seconds: counted
            .iter()
            .map(|report| report.n_tokens as f64 / report.tokens_per_second)
            .sum(),
        peak_bytes: peak_bytes(),
        losses: reports.iter().map(|report| report.loss).collect(),
    }
}
