use std::collections::BTreeSet;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use eef_weights::{Checkpoint, NamedTensor, write_checkpoint};

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
            read.contains(*name)
                || *name == "lm_head.weight"
                || name.ends_with(".rotary_emb.inv_freq")
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

    /// Writes `config.json` and `model.safetensors`, each whole or not at all; other files of the
    /// directory, such as the tokenizer, stay as they are. Attached adapters are not written: see
    /// [`merge_lora`](Self::merge_lora) and [`lora_tensors`](Self::lora_tensors).
    ///
    /// # Errors
    ///
    /// Where the operating system refuses.
    pub fn save(&self, directory: &Path) -> Result<(), LlamaError> {
        let tensors: Vec<_> = self.tensors().collect();
        Ok(write_checkpoint(directory, &self.config().to_json(), &tensors)?)
    }

    /// The weights under Hugging Face's names, linear layers as `[outputs, inputs]`; each is copied
    /// when its turn comes.
    pub fn tensors(&self) -> impl Iterator<Item = NamedTensor<'static>> {
        let config = self.config();
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let vector = move |name: &str, gain: &Param<Tensor<1>>| {
            NamedTensor::new(name.to_owned(), vec![hidden], values(gain.val()))
        };
        let table = move |name: &str, values| {
            NamedTensor::new(name.to_owned(), vec![vocab, hidden], values)
        };
        let embedding = std::iter::once_with(move || {
            table("model.embed_tokens.weight", values(self.embedding.val()))
        });
        let norm = std::iter::once_with(move || vector("model.norm.weight", &self.norm));
        let layers = self.layers.iter().enumerate();
        let layers = layers.flat_map(move |(index, layer)| layer_tensors(index, layer, config));
        let head = self.head.iter();
        let head = head.map(move |head| table("lm_head.weight", rows(head.val())));
        embedding.chain(norm).chain(layers).chain(head)
    }
}

/// The tensors of one layer; those that are one matrix here are taken apart.
fn layer_tensors(index: usize, layer: &Layer, config: &LlamaConfig) -> Vec<NamedTensor<'static>> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let heads = heads(config);
    let (query, key_value) = (heads.n_query * heads.dim, heads.n_key_value * heads.dim);
    let mut qkv = rows(layer.qkv.val());
    let mut key = qkv.split_off(query * hidden);
    let value = key.split_off(key_value * hidden);
    let mut gate = rows(layer.gate_up.val());
    let up = gate.split_off(inner * hidden);
    let named = |(name, sides, values): (&str, Vec<usize>, Vec<f32>)| {
        NamedTensor::new(format!("model.layers.{index}.{name}.weight"), sides, values)
    };
    [
        ("input_layernorm", vec![hidden], values(layer.attention_norm.val())),
        ("self_attn.q_proj", vec![query, hidden], qkv),
        ("self_attn.k_proj", vec![key_value, hidden], key),
        ("self_attn.v_proj", vec![key_value, hidden], value),
        ("self_attn.o_proj", vec![hidden, query], rows(layer.output.val())),
        ("post_attention_layernorm", vec![hidden], values(layer.feed_forward_norm.val())),
        ("mlp.gate_proj", vec![inner, hidden], gate),
        ("mlp.up_proj", vec![inner, hidden], up),
        ("mlp.down_proj", vec![hidden, inner], rows(layer.down.val())),
    ]
    .map(named)
    .into()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The `[outputs, inputs]` values of a parameter of shape `[inputs, outputs]`.
pub(crate) fn rows(parameter: Tensor<2>) -> Vec<f32> {
    let [inputs, outputs] = parameter.dims();
    transpose(&values(parameter), inputs, outputs)
}
