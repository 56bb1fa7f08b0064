//! Tokens per second of an optimiser step: forward, backward and AdamW on a model of a million
//! parameters and trajectories of about 130 tokens, 40 % of them trained.
//!
//! `cargo bench -p eef-train` prints elements (tokens) per second for one and for two workers.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};
use eef_core::Seed;
use eef_llama::{Llama, LlamaConfig, device};
use eef_train::{StepReport, TrainConfig, TrainExample, TrainObserver, TrainPaths, Trainer};

// Freed memory is kept: page faults are a third of a step otherwise.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_EXAMPLES: usize = 32;

fn shape() -> LlamaConfig {
    LlamaConfig {
        hidden_size: 128,
        intermediate_size: 384,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        ..LlamaConfig::tiny(1_500)
    }
}

fn examples() -> Vec<TrainExample> {
    let mut rng = Seed::new(7).rng();
    let mut example = || {
        let n_tokens = 90 + rng.below(80);
        let tokens = (0..n_tokens).map(|_| rng.below(1_500) as u32).collect();
        let trained = (0..n_tokens).map(|i| i % 10 >= 6).collect();
        TrainExample::new(tokens, trained).expect("tokens are trained")
    };
    (0..N_EXAMPLES).map(|_| example()).collect()
}

/// Sums the time of steps alone: checkpoints and files are not measured.
#[derive(Default)]
struct StepTime(Duration);

impl TrainObserver for StepTime {
    fn stepped(&mut self, report: &StepReport) {
        self.0 += Duration::from_secs_f64(report.n_tokens as f64 / report.tokens_per_second);
    }
}

fn train_step(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let init = folder.path().join("init");
    let cpu = device("cpu").expect("the CPU");
    Llama::init(&shape(), 1, &cpu).expect("a model").save(&init).expect("saved");
    let examples = examples();
    let n_tokens: usize = examples.iter().map(TrainExample::n_tokens).sum();

    let mut group = criterion.benchmark_group("train_step");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(8));
    group.throughput(Throughput::Elements(n_tokens as u64));
    for (n_workers, micro_batch_tokens) in [(1, 1024), (2, 512), (2, 1024), (2, 2048)] {
        let name = format!("workers-{n_workers}/micro-{micro_batch_tokens}");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|n_steps| {
                let config = TrainConfig {
                    n_epochs: n_steps as usize,
                    batch_size: N_EXAMPLES,
                    micro_batch_tokens,
                    n_workers,
                    ..TrainConfig::default()
                };
                let scratch = tempfile::tempdir().expect("a temporary directory");
                let paths = TrainPaths {
                    init: &init,
                    output: &scratch.path().join("output"),
                    scratch: scratch.path(),
                };
                let mut time = StepTime::default();
                let trainer = Trainer::new(config, cpu.clone()).expect("a valid configuration");
                black_box(trainer.run(&paths, &examples, &mut time)).expect("trained");
                time.0
            });
        });
    }
    group.finish();
}

// Criterion's macros would make public functions without documentation.
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    train_step(&mut criterion);
    criterion.final_summary();
}
