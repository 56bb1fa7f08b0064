//! private
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::print_stdout, clippy::unwrap_used)]
use eef_llama::*;
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    s.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
fn main() {
    let config = LlamaConfig {
        hidden_size: 128,
        intermediate_size: 384,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        ..LlamaConfig::tiny(1500)
    };
    let what = std::env::args().nth(1).unwrap_or_default();
    let cpu_device = device("cpu").unwrap();
    if what.is_empty() || what == "train" {
        let model = Llama::init(&config, 1, &cpu_device.clone().autodiff()).unwrap();
        for (n, t) in [(4, 130), (8, 130), (16, 130)] {
            let batch =
                Packed::new((0..n).map(|s| {
                    (0..t).map(|i| ((s * 31 + i * 17) % 1500) as u32).collect::<Vec<_>>()
                }))
                .unwrap();
            let rows: Vec<i32> = (0..n * t).filter(|i| i % 10 >= 6).map(|i| i as i32).collect();
            let targets: Vec<u32> = rows.iter().map(|r| (*r as u32 * 7) % 1500).collect();
            let step = |model: &Llama| {
                let hidden = model.forward_hidden(&batch).unwrap();
                let index = burn::tensor::Tensor::<1, burn::tensor::Int>::from_data(
                    burn::tensor::TensorData::new(rows.clone(), [rows.len()]),
                    &cpu_device.clone().autodiff(),
                );
                let loss = cross_entropy(model.logits(hidden.select(0, index)), &targets).sum();
                let f = cpu();
                let g = loss.backward();
                drop(burn::optim::GradientsParams::from_grads(g, model));
                cpu() - f
            };
            for _ in 0..3 {
                step(&model);
            }
            let start = cpu();
            let mut back = 0.0;
            let reps = 20;
            for _ in 0..reps {
                back += step(&model);
            }
            let total = cpu() - start;
            println!(
                "train {n}x{t}: {:.0} tok/cpu-s (forward {:.2} ms backward {:.2} ms)",
                (n * t * reps) as f64 / total,
                (total - back) / reps as f64 * 1e3,
                back / reps as f64 * 1e3
            );
        }
    }
    if what.is_empty() || what == "generate" {
        let model = Llama::init(&config, 1, &cpu_device).unwrap();
        let mut g = Generator::new(model, GeneratorConfig::default()).unwrap();
        for round in 0..2 {
            let n = 64u64;
            for s in 0..n {
                let tokens = (0..130).map(|i| ((s * 31 + i * 17 + round) % 1500) as u32).collect();
                g.submit(Request { temperature: 1.0, seed: s, ..Request::greedy(s, tokens, 1) })
                    .unwrap();
            }
            let start = cpu();
            let mut done = 0;
            while done < n as usize {
                done += g.advance().unwrap().len();
            }
            println!("prefill: {:.0} tok/cpu-s", (n * 130) as f64 / (cpu() - start));
            for s in 0..n {
                g.submit(Request { temperature: 1.0, seed: s, ..Request::greedy(s, vec![], 32) })
                    .unwrap();
            }
            let start = cpu();
            let mut done = 0;
            while done < n as usize {
                done += g.advance().unwrap().len();
            }
            let t = cpu() - start;
            println!(
                "decode 64: {:.0} tok/cpu-s, {:.2} ms a step",
                (n * 32) as f64 / t,
                t / 32.0 * 1e3
            );
            for s in 0..n {
                g.close(s);
            }
        }
    }
}
