use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::LlamaConfig;
use crate::model::lora::Adapters;
use crate::model::multiply;
use crate::ops::{Heads, Rotary, packed_attention, rms_norm, swiglu};

/// One transformer layer. Projections that read the same rows are one matrix: fewer, larger
/// products are faster.
#[derive(Module, Debug)]
pub(crate) struct Layer {
    /// `[hidden_size]`
    pub(crate) attention_norm: Param<Tensor<1>>,
    /// Queries, keys, values: `[hidden_size, (n_query + 2 * n_key_value) * head_dim]`
    pub(crate) qkv: Param<Tensor<2>>,
    /// `[n_query * head_dim, hidden_size]`
    pub(crate) output: Param<Tensor<2>>,
    /// `[hidden_size]`
    pub(crate) feed_forward_norm: Param<Tensor<1>>,
    /// Gate, up: `[hidden_size, 2 * intermediate_size]`
    pub(crate) gate_up: Param<Tensor<2>>,
    /// `[intermediate_size, hidden_size]`
    pub(crate) down: Param<Tensor<2>>,
    /// Adapters beside the matrix of the same name.
    pub(crate) qkv_lora: Option<Adapters>,
    pub(crate) output_lora: Option<Adapters>,
    pub(crate) gate_up_lora: Option<Adapters>,
    pub(crate) down_lora: Option<Adapters>,
}

impl Layer {
    /// `[n, hidden_size]` to the same shape.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        config: &LlamaConfig,
        rotary: &Rotary,
        lengths: &[usize],
    ) -> Tensor<2> {
        self.forward_with(x, config, |qkv, heads| {
            packed_attention(qkv, heads, config.sliding_window(), rotary, lengths)
        })
    }

    /// The layer around any attention: `attend` turns joint projections into heads' outputs.
    pub(crate) fn forward_with(
        &self,
        x: Tensor<2>,
        config: &LlamaConfig,
        attend: impl FnOnce(Tensor<2>, Heads) -> Tensor<2>,
    ) -> Tensor<2> {
        let epsilon = config.rms_norm_eps;
        let normed = rms_norm(x.clone(), self.attention_norm.val(), epsilon);
        let attended = attend(project(normed, &self.qkv, self.qkv_lora.as_ref()), heads(config));
        let x = x + project(attended, &self.output, self.output_lora.as_ref());
        let normed = rms_norm(x.clone(), self.feed_forward_norm.val(), epsilon);
        let gated = swiglu(project(normed, &self.gate_up, self.gate_up_lora.as_ref()));
        x + project(gated, &self.down, self.down_lora.as_ref())
    }

    /// The adapters beside each matrix.
    pub(crate) fn adapters(&self) -> [Option<&Adapters>; 4] {
        [&self.qkv_lora, &self.output_lora, &self.gate_up_lora, &self.down_lora].map(Option::as_ref)
    }
}

/// `[n, inputs]` to `[n, outputs]`: the product with a matrix, and what its adapters add.
fn project(x: Tensor<2>, weight: &Param<Tensor<2>>, adapters: Option<&Adapters>) -> Tensor<2> {
    match adapters {
        None => multiply(x, weight.val()),
        Some(adapters) => multiply(x.clone(), weight.val()) + adapters.forward(x),
    }
}

/// The heads of a configuration.
pub(crate) fn heads(config: &LlamaConfig) -> Heads {
    Heads {
        n_query: config.num_attention_heads,
        n_key_value: config.n_key_value_heads(),
        dim: config.head_dim(),
    }
}
