use std::path::Path;

use burn::tensor::{Device, Tensor};
use eef_weights::{Checkpoint, NamedTensor, write_checkpoint};

use crate::model::Llama;
use crate::model::init::transpose;
use crate::model::layer::heads;
use crate::{LlamaConfig, LlamaError};

impl Llama {
    /// Loads a Hugging Face directory: `config.json` and safetensors, as `f32`.
    ///
    /// # Errors
    ///
    /// Where a file is missing or cut short, the configuration is not supported, or a tensor has
    /// another shape than the configuration says.
    pub fn load(directory: &Path, device: &Device) -> Result<Self, LlamaError> {
        let checkpoint = Checkpoint::open(directory)?;
        let path = directory.join("config.json");
        let config = LlamaConfig::from_json(&path, checkpoint.config_text())?;
        let n_parameters = config.n_parameters();
        tracing::debug!(directory = %directory.display(), n_parameters, "loading a model");
        Self::build(&config, device, |name, sides| Ok(checkpoint.read(name, sides)?))
    }

    /// Writes `config.json` and `model.safetensors`, each whole or not at all; other files of the
    /// directory, such as the tokenizer, stay as they are.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses.
    pub fn save(&self, directory: &Path) -> Result<(), LlamaError> {
        let config = self.config();
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let heads = heads(config);
        let (query, key_value) = (heads.n_query * heads.dim, heads.n_key_value * heads.dim);

        let mut tensors = vec![
            NamedTensor::new(
                "model.embed_tokens.weight",
                vec![config.vocab_size, hidden],
                values(self.embedding.val()),
            ),
            NamedTensor::new("model.norm.weight", vec![hidden], values(self.norm.val())),
        ];
        for (index, layer) in self.layers.iter().enumerate() {
            let mut add = |name: &str, sides: Vec<usize>, values: Vec<f32>| {
                let name = format!("model.layers.{index}.{name}.weight");
                tensors.push(NamedTensor::new(name, sides, values));
            };
            add("input_layernorm", vec![hidden], values(layer.attention_norm.val()));
            let mut qkv = rows(layer.qkv.val());
            let mut key = qkv.split_off(query * hidden);
            let value = key.split_off(key_value * hidden);
            add("self_attn.q_proj", vec![query, hidden], qkv);
            add("self_attn.k_proj", vec![key_value, hidden], key);
            add("self_attn.v_proj", vec![key_value, hidden], value);
            add("self_attn.o_proj", vec![hidden, query], rows(layer.output.val()));
            add("post_attention_layernorm", vec![hidden], values(layer.feed_forward_norm.val()));
            let mut gate = rows(layer.gate_up.val());
            let up = gate.split_off(inner * hidden);
            add("mlp.gate_proj", vec![inner, hidden], gate);
            add("mlp.up_proj", vec![inner, hidden], up);
            add("mlp.down_proj", vec![hidden, inner], rows(layer.down.val()));
        }
        if let Some(head) = &self.head {
            let sides = vec![config.vocab_size, hidden];
            tensors.push(NamedTensor::new("lm_head.weight", sides, rows(head.val())));
        }
        Ok(write_checkpoint(directory, &config.to_json(), &tensors)?)
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The `[outputs, inputs]` values of a parameter of shape `[inputs, outputs]`.
fn rows(parameter: Tensor<2>) -> Vec<f32> {
    let [inputs, outputs] = parameter.dims();
    transpose(&values(parameter), inputs, outputs)
}
