//! What computes a step: our own kernels on the CPU, Burn's tensors on any other device.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::LlamaConfig;
use crate::model::{Layer, Llama, Shape};
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
    /// Takes a model over; adapters are added to the weights.
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
        Self(Arc::new(Engine::Device(model.valid())))
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

    /// Runs tokens through the model, and leaves the logits after those at `last_rows` in
    /// `scratch`, `[last_rows, vocab_size]`. `attend` gets the layer, joint projections
    /// `[n, qkv_width]` that it may overwrite, and room `[n, n_query * dim]` for its result.
    pub(crate) fn logits(
        &self,
        tokens: &[u32],
        last_rows: &[usize],
        scratch: &mut Scratch,
        attend: impl FnMut(usize, &mut [f32], &mut [f32]),
    ) {
        match &*self.0 {
            Engine::Host(host) => host.logits(tokens, last_rows, scratch, attend),
            Engine::Device(model) => {
                scratch.logits = logits_on_device(model, tokens, last_rows, attend);
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
        last_rows: &[usize],
        scratch: &mut Scratch,
        mut attend: impl FnMut(usize, &mut [f32], &mut [f32]),
    ) {
        let config = &self.shape.config;
        let (n, hidden, inner) = (tokens.len(), config.hidden_size, config.intermediate_size);
        let heads = crate::model::heads(config);
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
            attend(index, qkv, attended);
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
    last_rows: &[usize],
    mut attend: impl FnMut(usize, &mut [f32], &mut [f32]),
) -> Vec<f32> {
    let config = model.config();
    let n = tokens.len();
    let mut x = model.embed(tokens);
    for (index, layer) in model.layers.iter().enumerate() {
        x = layer.forward_with(x, config, |qkv, heads| {
            let (device, width) = (qkv.device(), heads.n_query * heads.dim);
            let (mut qkv, mut output) = (host_values(qkv), vec![0.0; n * width]);
            attend(index, &mut qkv, &mut output);
            Tensor::from_data(TensorData::new(output, [n, width]), &device)
        });
    }
    if last_rows.is_empty() {
        return Vec::new();
    }
    let rows: Vec<i32> = last_rows.iter().map(|row| *row as i32).collect();
    let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [last_rows.len()]), &x.device());
    let normed = rms_norm(x.select(0, rows), model.norm.val(), config.rms_norm_eps);
    host_values(model.logits(normed))
}

fn values<const D: usize>(parameter: Param<Tensor<D>>) -> Vec<f32> {
    host_values(parameter.into_value())
}

/// A tensor's values; on the CPU they are moved out where nobody else holds them.
fn host_values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    // All our models are `f32`, where this cannot fail; an empty slice would be seen at once.
    tensor.into_data().try_into_vec::<f32>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Completion, Generator, GeneratorConfig, Request, device};

    /// Our kernels against Burn's tensors, over shapes that are no multiples of a panel.
    #[test]
    fn the_kernels_compute_what_the_tensors_compute() {
        let plain = LlamaConfig { num_key_value_heads: Some(2), ..LlamaConfig::tiny(53) };
        let untied = LlamaConfig { tie_word_embeddings: false, ..plain.clone() };
        for config in [plain, untied] {
            let model = Llama::init(&config, 3, &device("cpu").unwrap()).unwrap();
            let models = [InferenceModel::on_device(&model), InferenceModel::from(model)];
            assert!(matches!((&*models[0].0, &*models[1].0), (Engine::Device(_), Engine::Host(_))));
            let [theirs, ours] = models.map(|model| {
                let config = GeneratorConfig { prefill_tokens: 20, ..GeneratorConfig::default() };
                let mut generator = Generator::new(model, config).unwrap();
                for sequence in 0..9 {
                    let n = 1 + 4 * sequence as u32;
                    let tokens = (0..n).map(|i| (i * 17 + n) % 53).collect();
                    generator.submit(Request::greedy(sequence, tokens, 5)).unwrap();
                }
                let mut completions = Vec::new();
                loop {
                    let ended = generator.advance().unwrap();
                    if ended.is_empty() {
                        completions.sort_by_key(|completion: &Completion| completion.sequence);
                        return completions;
                    }
                    completions.extend(ended);
                }
            });
            assert_eq!((ours.len(), theirs.len()), (9, 9));
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours.tokens, theirs.tokens);
                let pairs = ours.log_probabilities.iter().zip(&theirs.log_probabilities);
                for (ours, theirs) in pairs {
                    assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
                }
            }
        }
    }
}
