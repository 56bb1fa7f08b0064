//! What computes a step: our own kernels on the CPU, Burn's tensors on any other device.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{DType, Int, Tensor, TensorData};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::LlamaConfig;
use crate::generate::attend::attend_spans;
use crate::generate::device::{DeviceMemory, DeviceStep};
use crate::generate::pool::{HostMemory, Memory, Pool, Span};
use crate::model::{Layer, Llama, Shape, heads};
use crate::ops::{Panels, gate, is_on_cpu, normalise, rms_norm};

/// Values below which handing rows to other threads costs more than it saves.
const SMALLEST_SHARED_ROWS: usize = 1 << 15;

/// A model's weights as generators read them: without gradients, and on the CPU in the order in
/// which they are read. Clones share them.
///
/// ```
/// use eef_llama::{Generator, GeneratorConfig, InferenceModel, Llama, LlamaConfig, device};
///
/// let model = Llama::init(&LlamaConfig::tiny(50), 7, &device("cpu")?)?;
/// let model = InferenceModel::from(model);
/// let config = GeneratorConfig::default();
/// // Two generators, the weights once.
/// let generators = [model.clone(), model].map(|model| Generator::new(model, config.clone()));
/// # Ok::<(), eef_llama::LlamaError>(())
/// ```
#[derive(Clone, Debug)]
pub struct InferenceModel(Arc<Engine>);

#[derive(Debug)]
enum Engine {
    Host(Host),
    Device(Llama),
}

/// What lies between the products of a step, kept for the next one: taking such memory anew means
/// that the kernel clears all of it each time.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    x: Vec<f32>,
    normed: Vec<f32>,
    qkv: Vec<f32>,
    attended: Vec<f32>,
    gate_up: Vec<f32>,
    gated: Vec<f32>,
    projected: Vec<f32>,
    pub(crate) logits: Vec<f32>,
}

/// The first `n` values, whatever they are.
fn room(values: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if values.len() < n {
        values.resize(n, 0.0);
    }
    &mut values[..n]
}

/// A model on the CPU.
#[derive(Debug)]
struct Host {
    /// `[vocab_size, hidden_size]`; none where the output layer's weights are read instead.
    embedding: Option<Vec<f32>>,
    layers: Vec<HostLayer>,
    norm: Vec<f32>,
    head: Panels,
    shape: Arc<Shape>,
}

#[derive(Debug)]
struct HostLayer {
    attention_norm: Vec<f32>,
    qkv: Panels,
    output: Panels,
    feed_forward_norm: Vec<f32>,
    gate_up: Panels,
    down: Panels,
}

impl From<Llama> for InferenceModel {
    /// Takes a model over; adapters are added to the weights, but for those beside bfloat16, which
    /// adding would round.
    ///
    /// On the CPU the weights are copied. Where nobody else holds the model, each matrix is given
    /// back once it is copied, so that memory is never that of the model twice.
    fn from(model: Llama) -> Self {
        if !is_on_cpu(&model.embedding.val()) {
            return Self::on_device(&model);
        }
        let inference = model.valid().merge_lora();
        drop(model);
        let Llama { embedding, layers, norm, head, shape, .. } = inference;
        let vocabulary = shape.config.vocab_size;
        let layers = layers.into_iter().map(HostLayer::new).collect();
        let (embedding, head) = match head {
            Some(head) => {
                (Some(values(embedding)), Panels::from_columns(&values(head), vocabulary))
            }
            None => (None, Panels::from_rows(&values(embedding), vocabulary)),
        };
        let norm = values(norm);
        Self(Arc::new(Engine::Host(Host { embedding, layers, norm, head, shape })))
    }
}

impl InferenceModel {
    fn on_device(model: &Llama) -> Self {
        let model = model.valid();
        let is_exact = model.embedding.dtype() == DType::F32;
        Self(Arc::new(Engine::Device(if is_exact { model.merge_lora() } else { model })))
    }

    /// The shape of the model.
    pub fn config(&self) -> &LlamaConfig {
        &self.shape().config
    }

    pub(crate) fn shape(&self) -> &Shape {
        match &*self.0 {
            Engine::Host(host) => &host.shape,
            Engine::Device(model) => &model.shape,
        }
    }

    /// Memory for keys and values where this model can reach it, within a budget.
    pub(crate) fn pool(&self, max_bytes: usize) -> Pool {
        let config = self.config();
        let device = match &*self.0 {
            Engine::Host(_) => None,
            Engine::Device(model) => Some((model.embedding.device(), model.embedding.dtype())),
        };
        let device = device.as_ref().map(|(device, dtype)| (device, *dtype));
        Pool::new(config.num_hidden_layers, heads(config), device, max_bytes)
    }

    /// Runs the tokens of some sequences through the model, and leaves the logits after those at
    /// `last_rows` in `scratch`, `[last_rows, vocab_size]`. Their keys and values join `memory`,
    /// which came from [`pool`](Self::pool).
    pub(crate) fn logits(
        &self,
        tokens: &[u32],
        spans: &[Span<'_>],
        last_rows: &[usize],
        memory: &mut Memory,
        scratch: &mut Scratch,
    ) {
        match (&*self.0, memory) {
            (Engine::Host(host), Memory::Host(memory)) => {
                host.logits(tokens, spans, last_rows, memory, scratch);
            }
            (Engine::Device(model), Memory::Device(memory)) => {
                scratch.logits = logits_on_device(model, tokens, spans, last_rows, memory);
            }
            (Engine::Host(_), Memory::Device(_)) | (Engine::Device(_), Memory::Host(_)) => {
                unreachable!("a generator's pool is made by its own model")
            }
        }
    }
}

impl HostLayer {
    fn new(layer: Layer) -> Self {
        let matrix = |weight: Param<Tensor<2>>| {
            let [_, n_outputs] = weight.val().dims();
            Panels::from_columns(&values(weight), n_outputs)
        };
        Self {
            attention_norm: values(layer.attention_norm),
            qkv: matrix(layer.qkv),
            output: matrix(layer.output),
            feed_forward_norm: values(layer.feed_forward_norm),
            gate_up: matrix(layer.gate_up),
            down: matrix(layer.down),
        }
    }
}

impl Host {
    fn logits(
        &self,
        tokens: &[u32],
        spans: &[Span<'_>],
        last_rows: &[usize],
        memory: &mut HostMemory,
        scratch: &mut Scratch,
    ) {
        let config = &self.shape.config;
        let (n, hidden, inner) = (tokens.len(), config.hidden_size, config.intermediate_size);
        let heads = heads(config);
        let x = room(&mut scratch.x, n * hidden);
        let normed = room(&mut scratch.normed, n * hidden);
        let qkv = room(&mut scratch.qkv, n * heads.qkv_width());
        let attended = room(&mut scratch.attended, n * heads.n_query * heads.dim);
        let gate_up = room(&mut scratch.gate_up, n * 2 * inner);
        let gated = room(&mut scratch.gated, n * inner);
        let projected = room(&mut scratch.projected, n * hidden);
        for (row, token) in x.chunks_exact_mut(hidden).zip(tokens) {
            let token = *token as usize;
            match &self.embedding {
                Some(table) => row.copy_from_slice(&table[token * hidden..][..hidden]),
                None => self.head.column(token, row),
            }
        }
        for (index, layer) in self.layers.iter().enumerate() {
            self.normalise(x, &layer.attention_norm, normed);
            layer.qkv.multiply(normed, qkv);
            attend_spans(&self.shape, memory, spans, index, qkv, attended);
            layer.output.multiply(attended, projected);
            add(x, projected);
            self.normalise(x, &layer.feed_forward_norm, normed);
            layer.gate_up.multiply(normed, gate_up);
            by_rows(gate_up, 2 * inner, gated, inner, |gate_up, gated| gate(gate_up, inner, gated));
            layer.down.multiply(gated, projected);
            add(x, projected);
        }
        // The rows that are read, moved to the front one after the other.
        for (to, from) in last_rows.iter().enumerate() {
            x.copy_within(from * hidden..(from + 1) * hidden, to * hidden);
        }
        let n = last_rows.len();
        self.normalise(&x[..n * hidden], &self.norm, &mut normed[..n * hidden]);
        scratch.logits.resize(n * config.vocab_size, 0.0);
        self.head.multiply(&normed[..n * hidden], &mut scratch.logits);
    }

    fn normalise(&self, x: &[f32], gain: &[f32], output: &mut [f32]) {
        let (width, epsilon) = (gain.len(), self.shape.config.rms_norm_eps as f32);
        by_rows(x, width, output, width, |x, output| {
            let mut scales = vec![0.0; output.len() / width];
            normalise(x, gain, epsilon, output, &mut scales);
        });
    }
}

/// Applies an operation to rows of `width` values that become rows of `output_width`, on several
/// threads where it is worth it. Rows do not see each other.
fn by_rows(
    x: &[f32],
    width: usize,
    output: &mut [f32],
    output_width: usize,
    operation: impl Fn(&[f32], &mut [f32]) + Sync,
) {
    if x.len() < SMALLEST_SHARED_ROWS {
        return operation(x, output);
    }
    let n = (x.len() / width).div_ceil(rayon::current_num_threads());
    let outputs = output.par_chunks_mut(n * output_width);
    x.par_chunks(n * width).zip(outputs).for_each(|(x, output)| operation(x, output));
}

fn add(x: &mut [f32], other: &[f32]) {
    for (x, other) in x.iter_mut().zip(other) {
        *x += other;
    }
}

fn logits_on_device(
    model: &Llama,
    tokens: &[u32],
    spans: &[Span<'_>],
    last_rows: &[usize],
    memory: &mut DeviceMemory,
) -> Vec<f32> {
    let Shape { config, rotary } = &*model.shape;
    let mut x = model.embed(tokens);
    let device = x.device();
    let step = DeviceStep::new(spans, heads(config), config.sliding_window(), rotary, &device);
    for (index, layer) in model.layers.iter().enumerate() {
        x = layer.forward_with(x, config, |qkv, _| step.attend(memory, index, qkv));
    }
    if last_rows.is_empty() {
        return Vec::new();
    }
    let rows: Vec<i32> = last_rows.iter().map(|row| *row as i32).collect();
    let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [last_rows.len()]), &device);
    let normed = rms_norm(x.select(0, rows), model.norm.val(), config.rms_norm_eps);
    host_values(model.logits(normed))
}

fn values<const D: usize>(parameter: Param<Tensor<D>>) -> Vec<f32> {
    host_values(parameter.into_value())
}

/// A tensor's values; on the CPU they are moved out where nobody else holds them.
fn host_values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    // What is `f32` is moved out as it is: this cannot fail.
    tensor.cast(DType::F32).into_data().try_into_vec::<f32>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Completion, Generator, GeneratorConfig, Precision, Request, device};

    const VOCABULARY: usize = 53;

    fn advance_all(generator: &mut Generator) -> Vec<Completion> {
        let mut completions = Vec::new();
        loop {
            let ended = generator.advance().unwrap();
            if ended.is_empty() {
                completions.sort_by_key(|completion: &Completion| completion.sequence);
                return completions;
            }
            completions.extend(ended);
        }
    }

    /// Two turns of nine sequences that share beginnings of many lengths, within few blocks.
    fn two_turns(model: InferenceModel, max_cache_bytes: usize) -> (Vec<Completion>, u64) {
        let config = GeneratorConfig {
            prefill_tokens: 20,
            max_sequences: 6,
            max_cache_bytes,
            ..GeneratorConfig::default()
        };
        let mut generator = Generator::new(model, config).unwrap();
        for sequence in 0..9u64 {
            let n = 1 + 5 * sequence as u32;
            let tokens = (0..n).map(|i| (i * 17 + n / 20) % VOCABULARY as u32).collect();
            generator.submit(Request::greedy(sequence, tokens, 5)).unwrap();
        }
        let mut completions = advance_all(&mut generator);
        for sequence in 0..9u64 {
            let tokens = (0..3 + sequence as u32).collect();
            generator.submit(Request::greedy(sequence, tokens, 9)).unwrap();
        }
        completions.extend(advance_all(&mut generator));
        assert_eq!(completions.len(), 18);
        assert!(generator.n_cache_bytes() <= max_cache_bytes);
        (completions, generator.n_computed_tokens())
    }

    /// The largest difference of log-probabilities, where the tokens are the same.
    fn difference(a: &[Completion], b: &[Completion]) -> f32 {
        let mut largest = 0.0f32;
        for (a, b) in a.iter().zip(b) {
            assert_eq!((a.sequence, &a.tokens), (b.sequence, &b.tokens));
            let pairs = a.log_probabilities.iter().zip(&b.log_probabilities);
            largest = pairs.fold(largest, |largest, (a, b)| largest.max((a - b).abs()));
        }
        largest
    }

    /// Our kernels against Burn's tensors, over shapes that are no multiples of a panel, windows,
    /// and budgets that make both evict.
    #[test]
    fn the_kernels_compute_what_the_tensors_compute() {
        let plain = LlamaConfig { num_key_value_heads: Some(2), ..LlamaConfig::tiny(VOCABULARY) };
        let untied = LlamaConfig { tie_word_embeddings: false, ..plain.clone() };
        let mut windowed = plain.clone();
        windowed.other.insert("model_type".to_owned(), "mistral".into());
        windowed.other.insert("sliding_window".to_owned(), 19.into());
        assert_eq!(windowed.sliding_window(), Some(19));
        for config in [plain, untied, windowed] {
            let model = Llama::init(&config, 3, &device("cpu").unwrap()).unwrap();
            let models = [InferenceModel::on_device(&model), InferenceModel::from(model)];
            assert!(matches!((&*models[0].0, &*models[1].0), (Engine::Device(_), Engine::Host(_))));
            for max_cache_bytes in [1 << 17, 1 << 18, 1 << 24] {
                let [theirs, ours] = models.clone().map(|model| two_turns(model, max_cache_bytes));
                assert!(difference(&ours.0, &theirs.0) < 1e-5);
                assert_eq!(ours.1, theirs.1, "they saved the same work");
            }
        }
    }

    /// bfloat16 has 8 bits of precision, and half the bytes hold as many blocks.
    #[test]
    fn half_the_precision_is_near() {
        let config = LlamaConfig { num_key_value_heads: Some(2), ..LlamaConfig::tiny(VOCABULARY) };
        let exact = Llama::init(&config, 3, &device("cpu").unwrap()).unwrap();
        let rounded = exact.clone().to_precision(Precision::Bf16);
        let [exact, rounded] = [exact, rounded].map(|model| {
            let model = InferenceModel::from(model);
            let block_bytes = model.pool(1 << 20).block_bytes();
            let config = GeneratorConfig::default();
            let mut generator = Generator::new(model, config).unwrap();
            generator.submit(Request::greedy(0, (0..50).collect(), 1)).unwrap();
            (block_bytes, advance_all(&mut generator))
        });
        assert_eq!(exact.0, 2 * rounded.0);
        let difference = difference(&exact.1, &rounded.1);
        assert!(0.0 < difference && difference < 0.02, "{difference}");
    }
}
