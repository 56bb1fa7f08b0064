use std::fmt;
use std::str::FromStr;

use burn::module::Param;
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::LlamaError;
use crate::model::Llama;

/// What a model's matrices are kept and multiplied in. What stands between products (residuals,
/// norms, rotations, softmax; in training attention as a whole) is `f32` either way; a product itself, logits
/// and on a GPU attention's scores in generation among them, is rounded to the precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits: the fast one on a CPU. GPUs may multiply with 10 bits of fraction (TF32).
    #[default]
    F32,
    /// bfloat16, 16 bits: half the memory, for GPUs. On a CPU it works, and is slower.
    Bf16,
}

impl Precision {
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = LlamaError;

    fn from_str(name: &str) -> Result<Self, LlamaError> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(LlamaError::UnknownPrecision { name: name.to_owned() }),
        }
    }
}

impl Llama {
    /// The model with its matrices in another precision; gains and adapters stay as they are.
    ///
    /// Call it before training is begun: a cast on a device that tracks gradients loses them.
    #[must_use]
    pub fn to_precision(mut self, precision: Precision) -> Self {
        let cast = |matrix: Param<Tensor<2>>| matrix.map(|matrix| matrix.cast(precision.dtype()));
        self.embedding = cast(self.embedding);
        self.head = self.head.map(cast);
        let layers = std::mem::take(&mut self.layers).into_iter();
        let layers = layers.map(|mut layer| {
            layer.qkv = cast(layer.qkv);
            layer.output = cast(layer.output);
            layer.gate_up = cast(layer.gate_up);
            layer.down = cast(layer.down);
            layer
        });
        self.layers = layers.collect();
        self
    }
}

/// `x · matrix`, in the matrix's precision, as `f32`.
pub(crate) fn multiply(x: Tensor<2>, matrix: Tensor<2>) -> Tensor<2> {
    x.cast(matrix.dtype()).matmul(matrix).cast(DType::F32)
}
