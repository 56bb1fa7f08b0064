//! What a run would do: phases, simulations, tokens, time and memory, and what is missing.

mod inputs;
mod phases;
mod sizes;

use std::fmt::Write as _;

use eef::Method;
use eef_llama::Generator;
use serde::Serialize;

use crate::config::Config;
use crate::context::Context;
use crate::output::{self, Table, count, duration};
use crate::wiring;
use inputs::{Inputs, Missing};
use phases::Phase;
use sizes::{Assumption, Sizes};

/// A plan. Figures are counted in the files and reckoned from sizes; nothing is run.
#[derive(Debug, Serialize)]
struct Plan {
    name: String,
    method: String,
    sizes: Sizes,
    gigaflops: f64,
    is_cpu: bool,
    phases: Vec<Phase>,
    memory: Memory,
    /// What is wrong with results on the test tasks.
    leak: Option<String>,
    missing: Vec<Missing>,
}

/// Billions of operations per second that no CPU reaches in `f32`.
const MOST_OF_A_CPU: f64 = 20_000.0;

/// What a run holds at once, where that can be reckoned from sizes. Activations, the data, the
/// store and the program itself come on top.
#[derive(Debug, Serialize)]
struct Memory {
    n_workers: usize,
    /// Weights, gradients and the optimiser's moments, and each worker's own gradients; of an
    /// adapter's numbers alone where one is trained, beside frozen weights.
    training_bytes: f64,
    /// Weights while exploring: once for all workers.
    weight_bytes: f64,
    /// Conversations of the full context that a worker's keys and values have room for.
    n_fitting: Option<usize>,
    /// Keys and values of all conversations that are generated at once, each as long as the
    /// context: nothing where the model is not there.
    cache_bytes: Option<f64>,
    max_sequences: usize,
    context_length: Option<usize>,
}

/// Prints the plan of a configuration.
pub fn print(context: &Context, config: &Config, method: &dyn Method) -> anyhow::Result<()> {
    let plan = plan(config, method)?;
    if context.global.json {
        return output::print_json(&plan);
    }
    output::print(&plan.render())
}

fn plan(config: &Config, method: &dyn Method) -> anyhow::Result<Plan> {
    let inputs = Inputs::read(config)?;
    let sizes = Sizes::of(config, method.imitation(), &inputs)?;
    let phases = phases::of(config, method, &sizes);
    let memory = Memory::of(config, &sizes, &inputs);
    let (name, method) = (config.name.clone(), config.method.name.clone());
    let leak = inputs.world.as_ref().and_then(wiring::World::leak);
    let (gigaflops, is_cpu) = (config.plan.gigaflops, config.machine.device == "cpu");
    let missing = inputs.missing;
    Ok(Plan { name, method, sizes, gigaflops, is_cpu, phases, memory, leak, missing })
}

impl Memory {
    fn of(config: &Config, sizes: &Sizes, inputs: &Inputs) -> Self {
        const BYTES: usize = size_of::<f32>();
        let n_workers = wiring::n_workers(config);
        let per_parameter = config.plan.bytes_per_trained_parameter + (BYTES * n_workers) as f64;
        let weight_bytes = BYTES as f64 * sizes.n_parameters;
        let max_sequences = config.explore.max_sequences;
        let shape = inputs.shape();
        let context_length = shape.map(|shape| match config.model.context_length {
            0 => shape.max_position_embeddings,
            n => n.min(shape.max_position_embeddings),
        });
        let cache_bytes = shape.zip(context_length).map(|(shape, context_length)| {
            let per_token = shape.cache_bytes_per_token(BYTES) as f64;
            let of_worker = per_token * context_length as f64 * max_sequences as f64;
            of_worker.min(config.explore.max_cache_gigabytes * 1e9) * n_workers as f64
        });
        let n_fitting = shape.zip(context_length).map(|(shape, context_length)| {
            let of_one = Generator::cache_bytes_of(shape, context_length);
            (config.explore.max_cache_gigabytes * 1e9) as usize / of_one.max(1)
        });
        let adapter = shape.and_then(|shape| {
            let lora = wiring::lora(&config.train, config.seed).ok()??;
            Some(lora.n_parameters(shape) as f64)
        });
        // What is trained is f32; bfloat16 halves what is frozen, and adds a rounded copy of what is not.
        let half = sizes.n_parameters * BYTES as f64 / 2.0;
        let is_rounded = config.train.precision == "bf16";
        let training_bytes = match (adapter, is_rounded) {
            (Some(n_trained), false) => weight_bytes + n_trained * per_parameter,
            (Some(n_trained), true) => half + n_trained * per_parameter,
            (None, false) => sizes.n_parameters * per_parameter,
            (None, true) => sizes.n_parameters * per_parameter + half,
        };
        Self {
            n_workers,
            training_bytes,
            weight_bytes,
            n_fitting,
            cache_bytes,
            max_sequences,
            context_length,
        }
    }

    fn render(&self) -> String {
        let training = bytes(self.training_bytes);
        let weights = bytes(self.weight_bytes);
        let generation = match (self.cache_bytes, self.context_length, self.n_fitting) {
            (Some(cache), Some(length), Some(n_fitting)) => format!(
                "{weights} for weights and up to {} for keys and values; each worker\n  has room for \
                 {} of its {} conversations at their full {} tokens",
                bytes(cache),
                count(n_fitting.min(self.max_sequences) as u64),
                self.max_sequences,
                count(length as u64)
            ),
            _ => format!("{weights} for weights; keys and values unknown until the model is there"),
        };
        format!(
            "memory to train: {training} for weights, moments and the gradients of {} workers\n\
             memory to explore: {generation}\n  activations, data and the program itself come on \
             top of both\n",
            self.n_workers
        )
    }
}

impl Plan {
    fn render(&self) -> String {
        let sizes = &self.sizes;
        let mut text = format!(
            "{}: {}, {} training, {} validation and {} test tasks, {} expert trajectories \
             ({:.0} % positive, {:.1} actions, {} tokens), {} parameters\n",
            self.name,
            self.method,
            count(sizes.n_train as u64),
            count(sizes.n_validation as u64),
            count(sizes.n_test as u64),
            count(sizes.n_experts as u64),
            100.0 * sizes.positive_share,
            sizes.actions,
            count((sizes.read_tokens + sizes.said_tokens).round() as u64),
            parameters(sizes.n_parameters),
        );
        let assumed: Vec<String> = sizes.assumed.iter().map(Assumption::to_string).collect();
        let _ = writeln!(text, "assumed ([plan]): {}", assumed.join(", "));
        text.push_str(
            "at most: every stage of behaviour cloning, a solution for every task and a recovery \
             for every\n  expert trajectory; each episode counted as long as the experts' are on \
             average\n\n",
        );
        text.push_str(&self.table());
        let total: f64 = self.phases.iter().map(|phase| phase.seconds).sum();
        let _ = writeln!(
            text,
            "\ntime: {} of computing at the assumed {} GFLOP/s, which were not measured here",
            duration(total),
            count(self.gigaflops.round() as u64)
        );
        if self.is_cpu && self.gigaflops > MOST_OF_A_CPU {
            text.push_str("  no CPU computes as fast: set plan.gigaflops to what yours does\n");
        }
        text.push_str(&self.memory.render());
        if let Some(leak) = &self.leak {
            let _ = writeln!(text, "{leak}");
        }
        if self.missing.is_empty() {
            text.push_str("nothing is missing\n");
        }
        for missing in &self.missing {
            text.push_str(&missing.render());
        }
        text
    }

    fn table(&self) -> String {
        let mut table = Table::new(&[
            "phase, at most",
            "rollouts",
            "examples",
            "tokens read",
            "generated",
            "trained through",
            "time",
        ]);
        for phase in &self.phases {
            let number = |value: f64| count(value.round() as u64);
            table.row([
                phase.name.clone(),
                number(phase.n_rollouts),
                number(phase.n_examples),
                number(phase.n_read_tokens),
                number(phase.n_generated_tokens),
                number(phase.n_training_tokens),
                duration(phase.seconds),
            ]);
        }
        table.render()
    }
}

fn parameters(n: f64) -> String {
    match n {
        n if n >= 1e9 => format!("{:.2} billion", n / 1e9),
        n if n >= 1e6 => format!("{:.1} million", n / 1e6),
        n if n > 0.0 => count(n as u64),
        _ => "an unknown number of".to_owned(),
    }
}

fn bytes(n: f64) -> String {
    if n >= 1e9 { format!("{:.1} GB", n / 1e9) } else { format!("{:.0} MB", n / 1e6) }
}
