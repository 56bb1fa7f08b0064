//! Tokens per second of a model of a million weights on one thread: forward and backward without
//! the optimiser, prefill, and decoding 64 sequences at a context of 130 to 162 tokens.
//!
//! `RAYON_NUM_THREADS=1 MIMALLOC_PURGE_DELAY=-1 cargo bench -p eef-llama`
#![expect(clippy::expect_used, reason = "a benchmark that fails has nothing to measure")]

use std::hint::black_box;

use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor};
use criterion::{BatchSize, Criterion, Throughput};
use eef_llama::{
    Generator, GeneratorConfig, Llama, LlamaConfig, Packed, Workload, cross_entropy, device,
};

// Freed memory is kept: page faults are a third of a training step otherwise.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VOCABULARY: u32 = 1_500;
const LENGTH: u32 = 130;

fn shape() -> LlamaConfig {
    LlamaConfig {
        hidden_size: 128,
        intermediate_size: 384,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        ..LlamaConfig::tiny(VOCABULARY as usize)
    }
}

fn sequence(seed: u32) -> Vec<u32> {
    (0..LENGTH).map(|i| (seed * 31 + i * 17) % VOCABULARY).collect()
}

/// Forward and backward over 4 sequences, 40 % of whose tokens are trained.
fn train(criterion: &mut Criterion) {
    let cpu = device("cpu").expect("the CPU").autodiff();
    let model = Llama::init(&shape(), 1, &cpu).expect("a model");
    let batch = Packed::new((0..4).map(sequence)).expect("a batch");
    let rows: Vec<i32> = (0..batch.n_tokens() as i32).filter(|i| i % 10 >= 6).collect();
    let targets: Vec<u32> = rows.iter().map(|row| *row as u32 * 7 % VOCABULARY).collect();
    let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &cpu);

    let mut group = criterion.benchmark_group("throughput");
    group.throughput(Throughput::Elements(batch.n_tokens() as u64));
    group.bench_function("forward-backward", |bencher| {
        bencher.iter(|| {
            let hidden = model.forward_hidden(&batch).expect("a batch that fits");
            let logits = model.logits(hidden.select(0, rows.clone()));
            let gradients = cross_entropy(logits, &targets).sum().backward();
            black_box(GradientsParams::from_grads(gradients, &model))
        });
    });
    group.finish();
}

fn generate(criterion: &mut Criterion) {
    let model = Llama::init(&shape(), 1, &device("cpu").expect("the CPU")).expect("a model");
    let workloads = [
        Workload::Prefill { n_sequences: 64, length: u64::from(LENGTH) },
        Workload::Decode { n_sequences: 64, context: u64::from(LENGTH), n_tokens: 32 },
        Workload::Rollouts { n_tasks: 32 },
    ];
    let mut group = criterion.benchmark_group("throughput");
    group.sample_size(10);
    for workload in workloads {
        let prepared = || {
            let generator = Generator::new(model.clone(), GeneratorConfig::default());
            let mut generator = generator.expect("valid");
            workload.prepare(&mut generator).expect("prompts that fit");
            generator
        };
        let n_tokens = workload.run(&mut prepared()).expect("it generates");
        group.throughput(Throughput::Elements(n_tokens));
        group.bench_function(workload.to_string(), |bencher| {
            let run = |generator: &mut Generator| workload.run(generator).expect("it generates");
            bencher.iter_batched_ref(prepared, run, BatchSize::LargeInput);
        });
    }
    group.finish();
}

// Criterion's macros would make public functions without documentation.
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    train(&mut criterion);
    generate(&mut criterion);
    criterion.final_summary();
}
