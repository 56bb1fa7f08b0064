//! A GPU against the CPU: the same model, the same inputs. Without a GPU these tests say so and
//! pass, unless `EEF_REQUIRE` asks for `cuda`; `EEF_MODEL` adds a published model.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]
#![expect(clippy::print_stderr, reason = "a test that skips says why")]

use std::path::PathBuf;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use eef_llama::{
    Generator, GeneratorConfig, Llama, LlamaConfig, Packed, Precision, Request, cross_entropy,
    device,
};

/// The first GPU.
fn gpu() -> Option<Device> {
    match device("cuda:0") {
        Ok(device) => Some(device),
        Err(error) => {
            let required = std::env::var("EEF_REQUIRE").unwrap_or_default();
            assert!(!required.contains("cuda"), "{error}, but EEF_REQUIRE asks for it");
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn shapes() -> [LlamaConfig; 3] {
    let plain = LlamaConfig::tiny(200);
    let untied = LlamaConfig { tie_word_embeddings: false, ..plain.clone() };
    let mut windowed = LlamaConfig { head_dim: Some(32), ..plain.clone() };
    windowed.other.insert("model_type".to_owned(), "mistral".into());
    windowed.other.insert("sliding_window".to_owned(), 19.into());
    [plain, untied, windowed]
}

/// A model on the CPU, and the same on the GPU.
fn pair(config: &LlamaConfig, gpu: &Device, precision: Precision) -> [Llama; 2] {
    let cpu = Llama::init(config, 3, &device("cpu").unwrap()).unwrap();
    [cpu, Llama::init_as(config, 3, gpu, precision).unwrap()]
}

fn sequences() -> Packed {
    let sequence = |n: u32, step: u32| (0..n).map(|i| (i * step + n) % 200).collect::<Vec<u32>>();
    Packed::new([sequence(70, 7), sequence(3, 11), sequence(33, 13)]).unwrap()
}

fn logits(model: &Llama, batch: &Packed) -> Vec<f32> {
    let hidden = model.forward_hidden(batch).unwrap();
    model.logits(hidden).into_data().iter::<f32>().collect()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    assert!(!a.is_empty());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Two turns of twelve sequences that share beginnings.
fn generated(model: Llama) -> Vec<(u64, Vec<u32>, Vec<f32>)> {
    let config = GeneratorConfig { prefill_tokens: 64, ..GeneratorConfig::default() };
    let mut generator = Generator::new(model, config).unwrap();
    let mut all = Vec::new();
    for turn in 0..2u32 {
        for sequence in 0..12u64 {
            let n = 5 + 9 * sequence as u32;
            let tokens = (0..n).map(|i| (i * 17 + turn + n / 40) % 200).collect();
            generator.submit(Request::greedy(sequence, tokens, 12)).unwrap();
        }
        let mut ended = Vec::new();
        loop {
            let completions = generator.advance().unwrap();
            if completions.is_empty() {
                break;
            }
            let parts = completions.into_iter();
            ended.extend(parts.map(|done| (done.sequence, done.tokens, done.log_probabilities)));
        }
        ended.sort_by_key(|(sequence, ..)| *sequence);
        all.extend(ended);
    }
    all
}

#[test]
fn logits_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let batch = sequences();
    for config in shapes() {
        // In f32 a GPU may multiply with TF32's 10 bits of fraction; bfloat16 has 7.
        for (precision, most) in [(Precision::F32, 5e-3), (Precision::Bf16, 0.05)] {
            let [cpu, gpu] = pair(&config, &gpu, precision);
            let difference = distance(&logits(&cpu, &batch), &logits(&gpu, &batch));
            println!("{precision}: logits differ by {difference:e} at most");
            assert!(difference < most, "{precision}: {difference}");
        }
    }
}

#[test]
fn gradients_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let batch = sequences();
    for config in shapes() {
        let [cpu, gpu] = pair(&config, &gpu, Precision::F32).map(|model| {
            let model = model.train();
            let hidden = model.forward_hidden(&batch).unwrap();
            let targets: Vec<u32> = batch.tokens().iter().map(|id| (id + 1) % 200).collect();
            let loss = cross_entropy(model.logits(hidden), &targets).mean();
            let value: Vec<f32> = loss.to_data().iter::<f32>().collect();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            let norms = Norms::of(&model, &gradients);
            (value[0], norms)
        });
        assert!((cpu.0 - gpu.0).abs() < 1e-3 * cpu.0, "{} {}", cpu.0, gpu.0);
        assert_eq!(cpu.1.len(), gpu.1.len());
        for (cpu, gpu) in cpu.1.iter().zip(&gpu.1) {
            assert!((cpu - gpu).abs() < 5e-3 * cpu.max(1e-6), "{cpu} {gpu}");
        }
    }
}

#[test]
fn greedy_texts_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for config in shapes() {
        let [cpu, gpu] = pair(&config, &gpu, Precision::F32).map(generated);
        assert_eq!(cpu.len(), 24);
        let mut n_same = 0;
        for (cpu, gpu) in cpu.iter().zip(&gpu) {
            assert_eq!((cpu.0, cpu.1.len()), (gpu.0, gpu.1.len()));
            let n = cpu.1.iter().zip(&gpu.1).take_while(|(cpu, gpu)| cpu == gpu).count();
            assert!(n == 0 || distance(&cpu.2[..n], &gpu.2[..n]) < 5e-3);
            n_same += usize::from(n == cpu.1.len());
        }
        // Where two tokens tie but for rounding, a text goes on differently.
        assert!(n_same >= 18, "{n_same} of 24 texts are the same");
    }
}

#[test]
fn a_published_model_says_the_same() {
    let Some(gpu) = gpu() else { return };
    let Some(directory) = std::env::var_os("EEF_MODEL").map(PathBuf::from) else {
        eprintln!("skipped: EEF_MODEL names no model's directory");
        return;
    };
    let cpu = Llama::load(&directory, &device("cpu").unwrap()).unwrap();
    let batch =
        Packed::new([(0..200).map(|i| (i * 97 + 5) % 40_000).collect::<Vec<u32>>()]).unwrap();
    let expected = logits(&cpu, &batch);
    for (precision, most) in [(Precision::F32, 0.1), (Precision::Bf16, 1.0)] {
        let model = Llama::load_as(&directory, &gpu, precision).unwrap();
        let difference = distance(&expected, &logits(&model, &batch));
        println!("{precision}: logits differ by {difference:e} at most");
        assert!(difference < most, "{precision}: {difference}");
    }
}

/// The norm of each parameter's gradient.
struct Norms<'a> {
    gradients: &'a GradientsParams,
    norms: Vec<f32>,
}

impl Norms<'_> {
    fn of(model: &Llama, gradients: &GradientsParams) -> Vec<f32> {
        let mut visitor = Norms { gradients, norms: Vec::new() };
        model.visit(&mut visitor);
        assert!(!visitor.norms.is_empty());
        visitor.norms
    }
}

impl burn::module::ModuleVisitor for Norms<'_> {
    fn visit_float<const D: usize>(
        &mut self,
        parameter: &burn::module::Param<burn::tensor::Tensor<D>>,
    ) {
        let gradient = self.gradients.get::<D>(parameter.id).unwrap();
        let squares = gradient.square().sum().into_data().iter::<f32>().sum::<f32>();
        self.norms.push(squares.sqrt());
    }
}
