use std::sync::Arc;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};

use crate::model::layer::heads;
use crate::model::{Layer, Llama, Shape};
use crate::ops::Rotary;
use crate::random::Draws;
use crate::{LlamaConfig, LlamaError, Precision};

/// Standard deviation of random weights (Nguyen and Salazar 2019, "Transformers without Tears"):
/// 0.01 at LLaMA's width of 4,096, where 0.02 is usual, and 0.06 at 128, where with 0.02 attention
/// would begin as good as uniform and long stay so.
fn initial_deviation(hidden_size: usize) -> f64 {
    (2.0 / (5.0 * hidden_size as f64)).sqrt()
}

impl LlamaConfig {
    /// A model of some hundred thousand weights, for tests and examples.
    pub fn tiny(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            hidden_size: 64,
            intermediate_size: 128,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: Some(2),
            head_dim: None,
            max_position_embeddings: 512,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            tie_word_embeddings: true,
            other: serde_json::Map::new(),
        }
    }
}

impl Llama {
    /// A model with random weights: normal with a deviation of `sqrt(2 / (5 hidden_size))`, gains of
    /// 1. The same seed gives the same weights on every machine.
    ///
    /// # Errors
    ///
    /// Where the configuration is not one of a possible model.
    pub fn init(config: &LlamaConfig, seed: u64, device: &Device) -> Result<Self, LlamaError> {
        Self::init_as(config, seed, device, Precision::F32)
    }

    /// As [`init`](Self::init), with matrices in a precision.
    ///
    /// # Errors
    ///
    /// As [`init`](Self::init).
    pub fn init_as(
        config: &LlamaConfig,
        seed: u64,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, LlamaError> {
        let mut tensor_index = 0;
        let deviation = initial_deviation(config.hidden_size);
        Self::build(config, device, precision, |_, sides| {
            let n = sides.iter().product();
            if sides.len() == 1 {
                return Ok(vec![1.0; n]);
            }
            tensor_index += 1;
            Ok(normal_values(Draws::new(seed, tensor_index), n, deviation))
        })
    }

    /// Assembles a model from Hugging Face's tensors: `read` is asked for each by name and shape,
    /// linear layers as `[outputs, inputs]`.
    pub(crate) fn build(
        config: &LlamaConfig,
        device: &Device,
        precision: Precision,
        mut read: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, LlamaError>,
    ) -> Result<Self, LlamaError> {
        config.validate()?;
        let (hidden, inner, vocab) =
            (config.hidden_size, config.intermediate_size, config.vocab_size);
        let heads = heads(config);
        let (query, key_value) = (heads.n_query * heads.dim, heads.n_key_value * heads.dim);
        let vector = |values: Vec<f32>| {
            let n = values.len();
            parameter::<1>(values, [n], Precision::F32, device)
        };
        let linear = |values: &[f32], outputs: usize, inputs: usize| {
            let values = transpose(values, outputs, inputs);
            parameter::<2>(values, [inputs, outputs], precision, device)
        };

        let embedding = read("model.embed_tokens.weight", &[vocab, hidden])?;
        let mut layers = Vec::with_capacity(config.num_hidden_layers.min(1024));
        for index in 0..config.num_hidden_layers {
            let mut read = |name: &str, sides: &[usize]| {
                read(&format!("model.layers.{index}.{name}.weight"), sides)
            };
            let attention_norm = vector(read("input_layernorm", &[hidden])?);
            // Rows of [outputs, inputs] matrices follow each other, so that joining outputs is
            // joining values; one transposition then gives [inputs, outputs].
            let mut qkv = read("self_attn.q_proj", &[query, hidden])?;
            qkv.extend(read("self_attn.k_proj", &[key_value, hidden])?);
            qkv.extend(read("self_attn.v_proj", &[key_value, hidden])?);
            let output = read("self_attn.o_proj", &[hidden, query])?;
            let feed_forward_norm = vector(read("post_attention_layernorm", &[hidden])?);
            let mut gate_up = read("mlp.gate_proj", &[inner, hidden])?;
            gate_up.extend(read("mlp.up_proj", &[inner, hidden])?);
            let down = read("mlp.down_proj", &[hidden, inner])?;
            layers.push(Layer {
                attention_norm,
                qkv: linear(&qkv, heads.qkv_width(), hidden),
                output: linear(&output, hidden, query),
                feed_forward_norm,
                gate_up: linear(&gate_up, 2 * inner, hidden),
                down: linear(&down, hidden, inner),
                qkv_lora: None,
                output_lora: None,
                gate_up_lora: None,
                down_lora: None,
            });
        }
        let norm = vector(read("model.norm.weight", &[hidden])?);
        let head = if config.tie_word_embeddings {
            None
        } else {
            let head = read("lm_head.weight", &[vocab, hidden])?;
            Some(linear(&head, vocab, hidden))
        };
        let (positions, theta) = (config.max_position_embeddings, config.rope_theta);
        let rotary = Rotary::new(heads.dim, positions, theta, config.rope_scaling()?);
        Ok(Self {
            embedding: parameter::<2>(embedding, [vocab, hidden], precision, device),
            layers,
            norm,
            head,
            shape: Arc::new(Shape { config: config.clone(), rotary }),
            lora: None,
        })
    }
}

/// `[rows, columns]` values as `[columns, rows]`.
pub(crate) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let columns_first = (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c));
    columns_first.map(|at| values[at]).collect()
}

fn parameter<const D: usize>(
    values: Vec<f32>,
    sides: [usize; D],
    precision: Precision,
    device: &Device,
) -> Param<Tensor<D>> {
    device.memory_persistent_allocations(TensorData::new(values, sides), |data| {
        Param::from_tensor(Tensor::from_data(data, (device, precision.dtype())))
    })
}

/// Sums of twelve uniform draws have variance 1 and are all but normal. They need additions only:
/// logarithms and sines differ between machines in their last bit.
fn normal_values(mut draws: Draws, n: usize, deviation: f64) -> Vec<f32> {
    let normal = |draws: &mut Draws| (0..12).map(|_| draws.uniform()).sum::<f64>() - 6.0;
    (0..n).map(|_| (normal(&mut draws) * deviation) as f32).collect()
}
