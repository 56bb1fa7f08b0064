use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::tensor::{Device, Tensor};
use eef_weights::{Checkpoint, NamedTensor, WriteOptions, write_shards};

use crate::model::Llama;
use crate::model::init::transpose;
use crate::model::layer::{Layer, heads};
use crate::{LlamaConfig, LlamaError, Precision};

impl Llama {
    /// Loads a Hugging Face directory: `config.json` and safetensors, as `f32`.
    ///
    /// # Errors
    ///
    /// Where a file is missing or cut short, the configuration is not supported, or a tensor has
    /// another shape than the configuration says, or is no part of the model.
    pub fn load(directory: &Path, device: &Device) -> Result<Self, LlamaError> {
        Self::load_as(directory, device, Precision::F32)
    }

    /// As [`load`](Self::load), with matrices in a precision. Each is cast when it is read: there
    /// is never more in memory than the model and one of them.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_as(
        directory: &Path,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, LlamaError> {
        let checkpoint = Checkpoint::open(directory)?;
        let path = directory.join("config.json");
        let config = LlamaConfig::from_json(&path, checkpoint.config_text())?;
        let n_parameters = config.n_parameters();
        tracing::debug!(directory = %directory.display(), n_parameters, "loading a model");
        let mut read = BTreeSet::new();
        let model = Self::build(&config, device, precision, |name, sides| {
            read.insert(name.to_owned());
            Ok(checkpoint.read(name, sides)?)
        })?;
        // A tied output layer is sometimes stored twice, and old files store what positions say.
        let is_known = |name: &&str| {
            read.contains(*name) || *name == HEAD || name.ends_with(".rotary_emb.inv_freq")
        };
        let foreign: Vec<&str> = checkpoint.names().filter(|name| !is_known(name)).collect();
        match foreign.first() {
            None => Ok(model),
            Some(tensor) => Err(LlamaError::ForeignTensors {
                directory: directory.to_owned(),
                tensor: (*tensor).to_owned(),
                n_tensors: foreign.len(),
            }),
        }
    }

    /// Writes `config.json` and weights as `f32`, in shards of 5 GB, each file whole or not at all;
    /// other files of the directory, such as the tokenizer, stay as they are. Attached adapters are
    /// not written: see [`merge_lora`](Self::merge_lora) and [`lora_tensors`](Self::lora_tensors).
    ///
    /// # Errors
    ///
    /// Where the operating system refuses.
    pub fn save(&self, directory: &Path) -> Result<(), LlamaError> {
        self.save_as(directory, WriteOptions::default())
    }

    /// As [`save`](Self::save), in another type or other shards. One layer's weights are copied at a
    /// time.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub fn save_as(&self, directory: &Path, options: WriteOptions) -> Result<(), LlamaError> {
        let config = self.config();
        let text = config.to_json_of(options.element_type);
        // Names are asked for in their order, which is layer by layer.
        let mut layer = BTreeMap::new();
        write_shards(directory, &text, &tensor_shapes(config), options, &mut |name| {
            if !layer.contains_key(name) {
                layer = self.tensors_beside(name).into_iter().collect();
            }
            // Every name comes from the shapes; no values are refused as too few.
            Ok(layer.remove(name).unwrap_or_default())
        })?;
        Ok(())
    }

    /// The weights under Hugging Face's names, linear layers as `[outputs, inputs]`; each is copied
    /// when its turn comes.
    pub fn tensors(&self) -> impl Iterator<Item = NamedTensor<'static>> {
        let mut layer = BTreeMap::new();
        tensor_shapes(self.config()).into_iter().map(move |(name, shape)| {
            if !layer.contains_key(&name) {
                layer = self.tensors_beside(&name).into_iter().collect();
            }
            let values = layer.remove(&name).unwrap_or_default();
            NamedTensor::new(name, shape, values)
        })
    }

    /// A tensor's values; of a layer's tensor those of its whole layer, some of whose matrices are
    /// one here.
    fn tensors_beside(&self, name: &str) -> Vec<(String, Vec<f32>)> {
        let layer = name.strip_prefix("model.layers.").and_then(|rest| rest.split('.').next());
        let index = layer.and_then(|index| index.parse().ok());
        if let Some((index, layer)) = index.and_then(|i: usize| Some((i, self.layers.get(i)?))) {
            let names = layer_shapes(index, self.config()).map(|(name, _)| name);
            return names.into_iter().zip(layer_values(layer, self.config())).collect();
        }
        let values = match (name, &self.head) {
            (EMBEDDING, _) => values(self.embedding.val()),
            (HEAD, Some(head)) => rows(head.val()),
            (_, _) => values(self.norm.val()),
        };
        vec![(name.to_owned(), values)]
    }
}

const EMBEDDING: &str = "model.embed_tokens.weight";
const NORM: &str = "model.norm.weight";
const HEAD: &str = "lm_head.weight";

/// Hugging Face's names and shapes of a model's tensors.
fn tensor_shapes(config: &LlamaConfig) -> Vec<(String, Vec<usize>)> {
    let (vocab, hidden) = (config.vocab_size, config.hidden_size);
    let mut shapes = vec![(EMBEDDING.to_owned(), vec![vocab, hidden])];
    shapes.push((NORM.to_owned(), vec![hidden]));
    shapes.extend((0..config.num_hidden_layers).flat_map(|index| layer_shapes(index, config)));
    if !config.tie_word_embeddings {
        shapes.push((HEAD.to_owned(), vec![vocab, hidden]));
    }
    shapes
}

/// The tensors of one layer.
fn layer_shapes(index: usize, config: &LlamaConfig) -> [(String, Vec<usize>); 9] {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let heads = heads(config);
    let (query, key_value) = (heads.n_query * heads.dim, heads.n_key_value * heads.dim);
    [
        ("input_layernorm", vec![hidden]),
        ("self_attn.q_proj", vec![query, hidden]),
        ("self_attn.k_proj", vec![key_value, hidden]),
        ("self_attn.v_proj", vec![key_value, hidden]),
        ("self_attn.o_proj", vec![hidden, query]),
        ("post_attention_layernorm", vec![hidden]),
        ("mlp.gate_proj", vec![inner, hidden]),
        ("mlp.up_proj", vec![inner, hidden]),
        ("mlp.down_proj", vec![hidden, inner]),
    ]
    .map(|(name, shape)| (format!("model.layers.{index}.{name}.weight"), shape))
}

/// Their values, in that order; those that are one matrix here are taken apart.
fn layer_values(layer: &Layer, config: &LlamaConfig) -> [Vec<f32>; 9] {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let heads = heads(config);
    let (query, key_value) = (heads.n_query * heads.dim, heads.n_key_value * heads.dim);
    let mut qkv = rows(layer.qkv.val());
    let mut key = qkv.split_off(query * hidden);
    let value = key.split_off(key_value * hidden);
    let mut gate = rows(layer.gate_up.val());
    let up = gate.split_off(inner * hidden);
    let output = rows(layer.output.val());
    let down = rows(layer.down.val());
    let (first_norm, second_norm) =
        (values(layer.attention_norm.val()), values(layer.feed_forward_norm.val()));
    [first_norm, qkv, key, value, output, second_norm, gate, up, down]
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The `[outputs, inputs]` values of a parameter of shape `[inputs, outputs]`.
pub(crate) fn rows(parameter: Tensor<2>) -> Vec<f32> {
    let [inputs, outputs] = parameter.dims();
    transpose(&values(parameter), inputs, outputs)
}
