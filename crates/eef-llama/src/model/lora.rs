//! Low-rank adapters (Hu et al. 2021, "LoRA") beside frozen projections.

use std::path::Path;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use eef_weights::{NamedTensor, WeightsError, read_safetensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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

/// The fields of `adapter_config.json` that say what an adapter computes.
#[derive(Deserialize)]
struct PeftConfig {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    target_modules: Value,
    #[serde(default)]
    use_rslora: bool,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl PeftConfig {
    /// Fields that change nothing of what an adapter computes once it is trained.
    const HARMLESS: [&str; 11] = [
        "task_type",
        "base_model_name_or_path",
        "revision",
        "lora_dropout",
        "inference_mode",
        "init_lora_weights",
        "auto_mapping",
        "peft_version",
        "runtime_config",
        "qalora_group_size",
        "megatron_core",
    ];
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

    /// Reads the text of PEFT's `adapter_config.json`; `path` is for messages. Dropout is left out:
    /// it takes part in training only.
    ///
    /// # Errors
    ///
    /// [`LlamaError::ConfigSyntax`] naming the first field that is missing or not known here.
    pub fn from_peft_json(path: &Path, text: &str) -> Result<Self, LlamaError> {
        let refuse = |message: String| LlamaError::ConfigSyntax { path: path.to_owned(), message };
        let file: PeftConfig =
            serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if file.peft_type != "LORA" {
            return Err(refuse(format!("peft_type is {}, expected LORA", file.peft_type)));
        }
        // What changes the arithmetic and is not known here must not be ignored.
        let plain = [Value::Null, false.into(), "none".into(), 0.into()];
        for (field, value) in &file.other {
            let is_known = PeftConfig::HARMLESS.contains(&field.as_str());
            let is_empty = value.as_object().is_some_and(Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty);
            if !is_known && !is_empty && !plain.contains(value) {
                return Err(refuse(format!("{field} is {value}, which is not known here")));
            }
        }
        let targets = match &file.target_modules {
            Value::String(name) => name.clone(),
            Value::Array(names) => {
                let mut names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
                names.sort_unstable();
                names.join(",")
            }
            other => return Err(refuse(format!("target_modules is {other}, expected names"))),
        };
        let targets =
            LoraTarget::parse_list(&targets).map_err(|error| refuse(error.to_string()))?;
        let config = Self {
            rank: file.r,
            alpha: file.lora_alpha,
            targets,
            rslora: file.use_rslora,
            seed: 0,
        };
        config.validate().map_err(|error| refuse(error.to_string()))?;
        Ok(config)
    }

    /// Numbers that the adapters have on a model of this shape.
    pub fn n_parameters(&self, shape: &LlamaConfig) -> usize {
        let of_layer: usize = self.targets.iter().flat_map(|target| target.sides(shape)).sum();
        of_layer.saturating_mul(self.rank).saturating_mul(shape.num_hidden_layers)
    }

    /// Checks every field.
    ///
    /// # Errors
    ///
    /// [`LlamaError::LoraConfig`] naming the first field that cannot be.
    pub fn validate(&self) -> Result<(), LlamaError> {
        let refuse =
            |field, found, expected| Err(LlamaError::LoraConfig { field, found, expected });
        if !(1..=1 << 16).contains(&self.rank) {
            return refuse("rank", self.rank.to_string(), "between 1 and 65,536");
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return refuse("alpha", self.alpha.to_string(), "a positive number");
        }
        let repeated =
            (1..self.targets.len()).any(|i| self.targets[..i].contains(&self.targets[i]));
        if self.targets.is_empty() || repeated {
            let found = format!("{:?}", self.targets);
            return refuse("targets", found, "at least one projection, each once");
        }
        Ok(())
    }
}

impl LoraTarget {
    /// Every projection: what PEFT calls `all-linear`.
    pub const ALL: [Self; 7] =
        [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// The last part of the module's name in transformers, such as `q_proj`.
    pub fn module(self) -> &'static str {
        self.path().rsplit('.').next().unwrap_or_default()
    }

    /// The module's name within a layer.
    fn path(self) -> &'static str {
        match self {
            Self::Q => "self_attn.q_proj",
            Self::K => "self_attn.k_proj",
            Self::V => "self_attn.v_proj",
            Self::O => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
        }
    }

    /// The projections of a list such as `q,v,down`, by their names here or in transformers;
    /// `all-linear` is all of them.
    ///
    /// # Errors
    ///
    /// [`LlamaError::LoraConfig`] for a name that is none.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, LlamaError> {
        if text.trim() == "all-linear" {
            return Ok(Self::ALL.to_vec());
        }
        let parse = |name: &str| {
            let fits = |target: &Self| {
                target.module() == name || target.module().strip_suffix("_proj") == Some(name)
            };
            Self::ALL.into_iter().find(fits).ok_or_else(|| LlamaError::LoraConfig {
                field: "targets",
                found: format!("`{name}`"),
                expected: "all-linear, or some of q, k, v, o, gate, up, down between commas",
            })
        };
        text.split(',').map(|name| parse(name.trim())).collect()
    }

    /// Inputs and outputs.
    fn sides(self, config: &LlamaConfig) -> [usize; 2] {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let heads = heads(config);
        let (query, key_value) = (heads.n_query * heads.dim, heads.n_key_value * heads.dim);
        match self {
            Self::Q => [hidden, query],
            Self::K | Self::V => [hidden, key_value],
            Self::O => [query, hidden],
            Self::Gate | Self::Up => [hidden, inner],
            Self::Down => [inner, hidden],
        }
    }

    /// PEFT's name of `A` or `B`.
    fn tensor_name(self, layer: usize, which: char) -> String {
        let path = self.path();
        format!("base_model.model.model.layers.{layer}.{path}.lora_{which}.weight")
    }
}

/// The adapters beside one matrix, which may be several projections joined.
#[derive(Module, Debug)]
pub(crate) struct Adapters {
    parts: Vec<Adapter>,
    #[module(skip)]
    scale: f64,
}

/// The adapter of one projection.
#[derive(Module, Debug)]
struct Adapter {
    /// `[inputs, rank]`
    a: Param<Tensor<2>>,
    /// `[rank, outputs]`
    b: Param<Tensor<2>>,
    #[module(skip)]
    target: LoraTarget,
    /// Columns of the joint matrix before and after this projection's.
    #[module(skip)]
    margins: [usize; 2],
}

impl Adapters {
    /// What the adapters add: `[n, inputs]` to `[n, outputs]` of the joint matrix.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        (x.matmul(self.joint_a()) * self.scale).matmul(self.joint_b())
    }

    /// What the adapters amount to as one matrix, `[inputs, outputs]`.
    fn dense(&self) -> Tensor<2> {
        (self.joint_a() * self.scale).matmul(self.joint_b())
    }

    /// `[inputs, n_parts * rank]`: one product reads the rows once for all parts.
    fn joint_a(&self) -> Tensor<2> {
        Tensor::cat(self.parts.iter().map(|part| part.a.val()).collect(), 1)
    }

    /// `[n_parts * rank, outputs]`, zero but for each part's rows in its own columns: with ranks
    /// this small, products with zeros cost less than joining rows of activations.
    fn joint_b(&self) -> Tensor<2> {
        let padded = self.parts.iter().map(|part| {
            let b = part.b.val();
            let ([rank, _], device) = (b.dims(), b.device());
            let [before, after] = part.margins;
            let mut blocks = vec![b];
            if before > 0 {
                blocks.insert(0, Tensor::zeros([rank, before], &device));
            }
            if after > 0 {
                blocks.push(Tensor::zeros([rank, after], &device));
            }
            Tensor::cat(blocks, 1)
        });
        Tensor::cat(padded.collect(), 0)
    }
}

impl Llama {
    /// The model with fresh adapters beside its projections: `x·W + scale · (x·A)·B`, `A` uniform
    /// within `±1/sqrt(inputs)` as in PEFT, `B` zero, so that nothing changes yet. All other
    /// weights are shared with the model and frozen: they get no gradients.
    ///
    /// # Errors
    ///
    /// [`LlamaError::LoraConfig`] naming the first field that cannot be, or where the model has
    /// adapters already.
    pub fn with_lora(self, config: &LoraConfig) -> Result<Self, LlamaError> {
        let shape = self.config().clone();
        self.attach(config, |layer, target, which| {
            let [inputs, outputs] = target.sides(&shape);
            if which == 'B' {
                return Ok(vec![0.0; config.rank * outputs]);
            }
            let item = FIRST_DRAW + (layer * LoraTarget::ALL.len()) as u64 + target as u64;
            let mut draws = Draws::new(config.seed, item);
            let bound = 1.0 / (inputs as f64).sqrt();
            let n = inputs * config.rank;
            Ok((0..n).map(|_| ((2.0 * draws.uniform() - 1.0) * bound) as f32).collect())
        })
    }

    /// The model with the adapters of a file: `tensors` under PEFT's names and in its shapes, `A` as
    /// `[rank, inputs]` and `B` as `[outputs, rank]`.
    ///
    /// # Errors
    ///
    /// As [`with_lora`](Self::with_lora), and [`LlamaError::LoraTensor`] where a tensor is missing,
    /// has another shape, or belongs to no target.
    pub fn load_lora(
        self,
        config: &LoraConfig,
        tensors: &[NamedTensor<'_>],
    ) -> Result<Self, LlamaError> {
        let shape = self.config().clone();
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

    /// The model with the adapter that lies in a directory as PEFT writes it:
    /// `adapter_config.json` and `adapter_model.safetensors`.
    ///
    /// # Errors
    ///
    /// As [`load_lora`](Self::load_lora); where a file cannot be read, or the adapter is of a kind
    /// that is not known here.
    pub fn load_peft(self, directory: &Path) -> Result<Self, LlamaError> {
        let path = directory.join("adapter_config.json");
        let text = std::fs::read_to_string(&path).map_err(|source| {
            let path = path.clone();
            LlamaError::Weights(WeightsError::Io { action: "read", path, source })
        })?;
        let config = LoraConfig::from_peft_json(&path, &text)?;
        let tensors = read_safetensors(&directory.join("adapter_model.safetensors"))?;
        self.load_lora(&config, &tensors)
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
    #[must_use]
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
                    *weight = weight.clone().map(|weight| {
                        let dtype = weight.dtype();
                        (weight.cast(DType::F32) + adapters.dense()).cast(dtype)
                    });
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
    let matrix = |values, sides: [usize; 2]| -> Param<Tensor<2>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_as_here_or_as_in_transformers() {
        let parse = |text| LoraTarget::parse_list(text).unwrap();
        assert_eq!(parse("all-linear"), LoraTarget::ALL);
        assert_eq!(parse("q, v_proj,down"), [LoraTarget::Q, LoraTarget::V, LoraTarget::Down]);
        let message = LoraTarget::parse_list("q,w").unwrap_err().to_string();
        assert!(message.contains("`w`") && message.contains("all-linear"), "{message}");
    }
}
