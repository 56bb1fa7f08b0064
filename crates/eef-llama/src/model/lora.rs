//! Low-rank adapters (Hu et al. 2021, "LoRA") beside frozen projections.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use eef_weights::NamedTensor;
use serde::{Deserialize, Serialize};

use crate::model::Llama;
use crate::model::files::rows;
use crate::model::init::transpose;
use crate::model::layer::heads;
use crate::random::Draws;
use crate::{LlamaConfig, LlamaError};

/// Draws of adapters begin here, so that they are not those of `Llama::init` with the same seed.
const FIRST_DRAW: u64 = 1 << 32;

/// Which projections get an adapter, and how large. There is no dropout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Columns of `A` and rows of `B`.
    pub rank: usize,
    /// Adapters count `alpha / rank` times.
    pub alpha: f64,
    /// The adapted projections, in every layer.
    pub targets: Vec<LoraTarget>,
    /// Adapters count `alpha / sqrt(rank)` times instead (Kalajdzievski 2023).
    pub rslora: bool,
    /// Draws the first values of `A`.
    pub seed: u64,
}

/// A projection that an adapter can stand beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraTarget {
    /// `self_attn.q_proj`
    Q,
    /// `self_attn.k_proj`
    K,
    /// `self_attn.v_proj`
    V,
    /// `self_attn.o_proj`
    O,
    /// `mlp.gate_proj`
    Gate,
    /// `mlp.up_proj`
    Up,
    /// `mlp.down_proj`
    Down,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, targets: LoraTarget::ALL.to_vec(), rslora: false, seed: 0 }
    }
}

impl LoraConfig {
    /// The factor on every adapter's output.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    /// Checks every field.
    ///
    /// # Errors
    ///
    /// [`LlamaError::LoraConfig`] naming the first field that cannot be.
    pub fn validate(&self) -> Result<(), LlamaError> {
        let refuse =
            |name: &str, reason| LlamaError::LoraTensor { tensor: name.to_owned(), reason };
        let mut known = std::collections::BTreeSet::new();
        let model = self.attach(config, |layer, target, which| {
            let [inputs, outputs] = target.sides(&shape);
            let sides = if which == 'A' { [config.rank, inputs] } else { [outputs, config.rank] };
            let name = target.tensor_name(layer, which);
            let Some(tensor) = tensors.iter().find(|tensor| tensor.name() == name) else {
                return Err(refuse(&name, format!("missing, expected shape {sides:?}")));
            };
            if tensor.shape() != sides {
                let reason = format!("shape {:?}, expected {sides:?}", tensor.shape());
                return Err(refuse(&name, reason));
            }
            known.insert(name);
            Ok(transpose(tensor.values(), sides[0], sides[1]))
        })?;
        match tensors.iter().find(|tensor| !known.contains(tensor.name())) {
            Some(tensor) => Err(refuse(tensor.name(), "belongs to none of the targets".to_owned())),
            None => Ok(model),
        }
    }

    /// The configuration of the attached adapters.
    pub fn lora_config(&self) -> Option<&LoraConfig> {
        self.lora.as_deref()
    }

    /// The attached adapters under PEFT's names, `A` as `[rank, inputs]`, `B` as `[outputs, rank]`;
    /// empty where there are none.
    pub fn lora_tensors(&self) -> Vec<NamedTensor<'static>> {
        let mut tensors = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            for part in layer.adapters().into_iter().flatten().flat_map(|joint| &joint.parts) {
                for (which, matrix) in [('A', &part.a), ('B', &part.b)] {
                    let [inputs, outputs] = matrix.val().dims();
                    let name = part.target.tensor_name(index, which);
                    let sides = vec![outputs, inputs];
                    tensors.push(NamedTensor::new(name, sides, rows(matrix.val())));
                }
            }
        }
        tensors
    }

    /// Adds the adapters to the weights, `W + scale · A·B`, and takes them off; all weights can then
    /// be trained. Without adapters, the model as it is.
    pub fn merge_lora(mut self) -> Self {
        if self.lora.take().is_none() {
            return self;
        }
        for layer in &mut self.layers {
            let pairs = [
                (&mut layer.qkv, &mut layer.qkv_lora),
                (&mut layer.output, &mut layer.output_lora),
                (&mut layer.gate_up, &mut layer.gate_up_lora),
                (&mut layer.down, &mut layer.down_lora),
            ];
            for (weight, adapters) in pairs {
                if let Some(adapters) = adapters.take() {
                    *weight = weight.clone().map(|weight| weight + adapters.dense());
                }
            }
        }
        self.set_require_grad(true)
    }

    /// Freezes the weights and attaches adapters; `values` gives each matrix row by row as
    /// `[inputs, rank]` or `[rank, outputs]`.
    fn attach(
        self,
        config: &LoraConfig,
        mut values: impl FnMut(usize, LoraTarget, char) -> Result<Vec<f32>, LlamaError>,
    ) -> Result<Self, LlamaError> {
        config.validate()?;
        if let Some(found) = &self.lora {
            let (found, expected) = (format!("{found:?}"), "a model without adapters");
            return Err(LlamaError::LoraConfig { field: "model", found, expected });
        }
        let shape = Arc::clone(&self.shape);
        let device = self.embedding.val().device();
        let mut model = self.no_grad();
        for (index, layer) in model.layers.iter_mut().enumerate() {
            let mut joint = |targets: &[LoraTarget]| {
                let values = |target, which| values(index, target, which);
                join(targets, config, &shape.config, &device, values)
            };
            layer.qkv_lora = joint(&[LoraTarget::Q, LoraTarget::K, LoraTarget::V])?;
            layer.output_lora = joint(&[LoraTarget::O])?;
            layer.gate_up_lora = joint(&[LoraTarget::Gate, LoraTarget::Up])?;
            layer.down_lora = joint(&[LoraTarget::Down])?;
        }
        model.lora = Some(Arc::new(config.clone()));
        Ok(model)
    }
}

/// The adapters beside a matrix that joins `targets`; none where none of them is adapted.
fn join(
    targets: &[LoraTarget],
    config: &LoraConfig,
    shape: &LlamaConfig,
    device: &Device,
    mut values: impl FnMut(LoraTarget, char) -> Result<Vec<f32>, LlamaError>,
) -> Result<Option<Adapters>, LlamaError> {
    let width: usize = targets.iter().map(|target| target.sides(shape)[1]).sum();
    let matrix = |values: Vec<f32>, sides: [usize; 2]| -> Param<Tensor<2>> {
        Param::from_data(TensorData::new(values, sides), device)
    };
    let (mut parts, mut before) = (Vec::new(), 0);
    for &target in targets {
        let [inputs, outputs] = target.sides(shape);
        if config.targets.contains(&target) {
            parts.push(Adapter {
                a: matrix(values(target, 'A')?, [inputs, config.rank]),
                b: matrix(values(target, 'B')?, [config.rank, outputs]),
                target,
                margins: [before, width - before - outputs],
            });
        }
        before += outputs;
    }
    Ok((!parts.is_empty()).then(|| Adapters { parts, scale: config.scale() }))
}
