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
    Generator, GeneratorConfig, Llama, LlamaConfig, Packed, Request, cross_entropy, device,
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
    const N_SEQUENCES: u32 = 64;
    const N_DECODED: usize = 32;
    let model = Llama::init(&shape(), 1, &device("cpu").expect("the CPU")).expect("a model");
    let generator = || Generator::new(model.clone(), GeneratorConfig::default()).expect("valid");
    let run = |generator: &mut Generator, n_tokens: usize| {
        for name in 0..u64::from(N_SEQUENCES) {
            let known = generator.tokens(name).is_some();
            let tokens = if known { Vec::new() } else { sequence(name as u32) };
            let request = Request::greedy(name, tokens, n_tokens);
            let request = Request { temperature: 1.0, seed: name, ..request };
            generator.submit(request).expect("a valid request");
        }
        while !generator.advance().expect("generated").is_empty() {}
    };

    let mut group = criterion.benchmark_group("throughput");
    group.sample_size(10);
    group.throughput(Throughput::Elements(u64::from(N_SEQUENCES * LENGTH)));
    group.bench_function("prefill", |bencher| {
        bencher.iter_batched_ref(generator, |generator| run(generator, 1), BatchSize::LargeInput);
    });
    group.throughput(Throughput::Elements(u64::from(N_SEQUENCES) * N_DECODED as u64));
    let prefilled = || {
        let mut generator = generator();
        run(&mut generator, 1);
        generator
    };
    group.bench_function("decode-64", |bencher| {
        let decode = |generator: &mut Generator| run(generator, N_DECODED);
        bencher.iter_batched_ref(prefilled, decode, BatchSize::LargeInput);
    });
    group.finish();
}

/// EEF's own load: six rollouts of each of 32 tasks, each from another prefix of the task's expert
/// trajectory, to the end of six turns.
fn roll_out(generator: &mut Generator) -> usize {
    const N_TURNS: u64 = 6;
    let expert = |task: u64, n_turns: u64| {
        // A turn is an observation of 40 tokens and an action of 8.
        let token = |i: u64| ((i * 31 + task * 97 + i * i * task) % u64::from(VOCABULARY)) as u32;
        (0..48 * n_turns + 40).map(token).collect::<Vec<u32>>()
    };
    let request = |name: u64, turn: u64, tokens| Request {
        temperature: 1.0,
        seed: name * N_TURNS + turn,
        ..Request::greedy(name, tokens, 8)
    };
    let mut turns = vec![0; 32 * 6];
    for name in 0..32 * 6 {
        let turn = name % 6;
        turns[name as usize] = turn;
        generator.submit(request(name, turn, expert(name / 6, turn))).expect("valid");
    }
    let mut n_generated = 0;
    loop {
        let completions = generator.advance().expect("generated");
        if completions.is_empty() {
            return n_generated;
        }
        for completion in completions {
            n_generated += completion.tokens.len();
            let name = completion.sequence;
            let turn = &mut turns[name as usize];
            *turn += 1;
            if *turn < N_TURNS {
                let observation = expert(name + 1000, 0);
                generator.submit(request(name, *turn, observation)).expect("valid");
            } else {
                generator.close(name);
            }
        }
    }
}

fn rollouts(criterion: &mut Criterion) {
    let model = Llama::init(&shape(), 1, &device("cpu").expect("the CPU")).expect("a model");
    let generator = || Generator::new(model.clone(), GeneratorConfig::default()).expect("valid");
    let mut group = criterion.benchmark_group("throughput");
    group.sample_size(10);
    group.throughput(Throughput::Elements(roll_out(&mut generator()) as u64));
    group.bench_function("rollouts-32x6", |bencher| {
        bencher.iter_batched_ref(generator, roll_out, BatchSize::LargeInput);
    });
    group.finish();
}

// Criterion's macros would make public functions without documentation.
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    train(&mut criterion);
    generate(&mut criterion);
    rollouts(&mut criterion);
    criterion.final_summary();
}
