//! Parameters that are trained in a way of their own.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::weights::is_trainable;
use crate::{AdamWConfig, TrainError};

/// What is different in training some of the parameters.
///
/// ```
/// use eef_train::{ParameterGroup, ParameterKind, TrainConfig};
///
/// // LoRA+ (Hayou et al. 2024): the second matrices of adapters learn faster.
/// let group = ParameterGroup {
///     parameters: ParameterKind::AdapterB,
///     learning_rate_factor: 16.0,
///     weight_decay: None,
/// };
/// let lora = Some(eef_llama::LoraConfig::default());
/// let config = TrainConfig { groups: vec![group], lora, ..TrainConfig::default() };
/// assert_eq!("adapter_b=16".parse(), Ok(group));
/// config.validate()?;
/// # Ok::<(), eef_train::TrainError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterGroup {
    /// Which ones.
    pub parameters: ParameterKind,
    /// Times the learning rate; with 0 they stay as they are.
    #[serde(default = "one")]
    pub learning_rate_factor: f64,
    /// Decoupled weight decay in place of [`AdamWConfig::weight_decay`], of vectors too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

fn one() -> f64 {
    1.0
}

/// Kinds of parameters, by what they do in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// The embedding, which is the output layer too where these are tied.
    Embedding,
    /// The output layer, where it is not the embedding.
    OutputLayer,
    /// The gains of normalisations.
    Normalisation,
    /// Projections to queries, keys, values, and from the heads' outputs.
    Attention,
    /// Gate, up and down projections.
    FeedForward,
    /// The first matrices of adapters.
    AdapterA,
    /// The second matrices of adapters.
    AdapterB,
}

impl ParameterKind {
    /// Every kind, with its name in configurations.
    pub const ALL: [(&'static str, Self); 7] = [
        ("embedding", Self::Embedding),
        ("output_layer", Self::OutputLayer),
        ("normalisation", Self::Normalisation),
        ("attention", Self::Attention),
        ("feed_forward", Self::FeedForward),
        ("adapter_a", Self::AdapterA),
        ("adapter_b", Self::AdapterB),
    ];

    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// The kind of a parameter, by the names of the modules that it lies in and its own
    /// (`eef_llama::Llama`'s); none where a module has other names.
    pub(crate) fn of(path: &[String]) -> Option<Self> {
        let name = path.last()?.as_str();
        let is_adapter = path.iter().any(|module| module.ends_with("_lora"));
        Some(match name {
            "a" if is_adapter => Self::AdapterA,
            "b" if is_adapter => Self::AdapterB,
            "embedding" => Self::Embedding,
            "head" => Self::OutputLayer,
            "norm" | "attention_norm" | "feed_forward_norm" => Self::Normalisation,
            "qkv" | "output" => Self::Attention,
            "gate_up" | "down" => Self::FeedForward,
            _ => return None,
        })
    }
}

impl ParameterGroup {
    /// Checks every field.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the field that cannot be.
    pub fn validate(&self) -> Result<(), TrainError> {
        let refuse = |field| Err(TrainError::Config { field, expected: "0 or a positive number" });
        let sound = |value: f64| value >= 0.0 && value.is_finite();
        if !sound(self.learning_rate_factor) {
            return refuse("groups.learning_rate_factor");
        }
        match self.weight_decay {
            Some(decay) if !sound(decay) => refuse("groups.weight_decay"),
            _ => Ok(()),
        }
    }
}

/// Refuses groups that no model of the configuration can have, before there is a model: beside adapters
/// all else is frozen, and without them there are none.
pub(crate) fn check_kinds(groups: &[ParameterGroup], has_adapters: bool) -> Result<(), TrainError> {
    let of_adapters = [ParameterKind::AdapterA, ParameterKind::AdapterB];
    let is_right =
        |group: &&ParameterGroup| of_adapters.contains(&group.parameters) == has_adapters;
    match groups.iter().find(|group| !is_right(group)) {
        None => Ok(()),
        Some(group) => {
            let trained = if has_adapters { "adapters alone" } else { "weights and no adapters" };
            let kind = group.parameters.name();
            Err(TrainError::EmptyGroup { kind, trained: trained.to_owned() })
        }
    }
}

/// Refuses groups of which the model trains nothing: whoever asks for one believes that it is there.
pub(crate) fn check_groups<M: Module>(
    groups: &[ParameterGroup],
    model: &M,
) -> Result<(), TrainError> {
    let mut kinds = Kinds::default();
    model.visit(&mut kinds);
    let is_trained = |group: &&ParameterGroup| kinds.trained.contains(&Some(group.parameters));
    match groups.iter().find(|group| !is_trained(group)) {
        None => Ok(()),
        Some(group) => {
            let trained = ParameterKind::ALL.into_iter().map(|(_, kind)| kind);
            let trained = trained
                .filter(|kind| kinds.trained.contains(&Some(*kind)))
                .map(ParameterKind::name);
            let trained = trained.collect::<Vec<_>>().join(", ");
            Err(TrainError::EmptyGroup { kind: group.parameters.name(), trained })
        }
    }
}

/// Notes the kind of every parameter that is trained.
#[derive(Default)]
struct Kinds {
    path: Vec<String>,
    trained: Vec<Option<ParameterKind>>,
}

impl ModuleVisitor for Kinds {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if is_trainable(param) {
            self.trained.push(ParameterKind::of(&self.path));
        }
    }
}

/// How one parameter is trained: factor on the learning rate, and weight decay.
pub(crate) fn treatment(
    groups: &[ParameterGroup],
    adamw: &AdamWConfig,
    path: &[String],
    is_matrix: bool,
) -> (f64, f64) {
    let usual = if is_matrix { adamw.weight_decay } else { 0.0 };
    let kind = ParameterKind::of(path);
    match groups.iter().rev().find(|group| Some(group.parameters) == kind) {
        None => (1.0, usual),
        Some(group) => (group.learning_rate_factor, group.weight_decay.unwrap_or(usual)),
    }
}

impl std::str::FromStr for ParameterGroup {
    type Err = String;

    /// Reads `KIND=FACTOR` or `KIND=FACTOR,DECAY`, such as `embedding=0.1,0`; the error says what was
    /// expected.
    fn from_str(text: &str) -> Result<Self, String> {
        let names = || ParameterKind::ALL.map(|(name, _)| name).join(", ");
        let number = |text: &str| {
            text.trim()
                .parse::<f64>()
                .map_err(|_| format!("numbers, such as 0.1, in place of `{text}`"))
        };
        let (kind, values) = text.split_once('=').ok_or_else(|| {
            "KIND=FACTOR or KIND=FACTOR,DECAY, such as embedding=0.1,0".to_owned()
        })?;
        let known = ParameterKind::ALL.into_iter().find(|(name, _)| *name == kind.trim());
        let Some((_, parameters)) = known else {
            return Err(format!("one of {} before the `=`", names()));
        };
        let (factor, decay) = match values.split_once(',') {
            None => (number(values)?, None),
            Some((factor, decay)) => (number(factor)?, Some(number(decay)?)),
        };
        Ok(Self { parameters, learning_rate_factor: factor, weight_decay: decay })
    }
}

#[cfg(test)]
mod tests {
    use eef_llama::{Llama, LlamaConfig, LoraConfig, device};

    use super::*;

    fn kinds_of(model: &Llama) -> Vec<Option<ParameterKind>> {
        let mut kinds = Kinds::default();
        model.visit(&mut kinds);
        kinds.trained
    }

    #[test]
    fn every_parameter_of_a_model_is_of_a_kind() {
        let shape = LlamaConfig { tie_word_embeddings: false, ..LlamaConfig::tiny(32) };
        let n_layers = shape.num_hidden_layers;
        let model = Llama::init(&shape, 1, &device("cpu").unwrap()).unwrap();
        let found = kinds_of(&model);
        let n = |kind| found.iter().filter(|found| **found == Some(kind)).count();
        assert!(found.iter().all(Option::is_some), "{found:?}");
        assert_eq!(n(ParameterKind::Normalisation), 2 * n_layers + 1);
        let projections = [ParameterKind::Attention, ParameterKind::FeedForward].map(n);
        assert_eq!(projections, [2 * n_layers; 2]);
        assert_eq!([ParameterKind::Embedding, ParameterKind::OutputLayer].map(n), [1, 1]);
        let found = kinds_of(&model.with_lora(&LoraConfig::default()).unwrap());
        let n = |kind| found.iter().filter(|found| **found == Some(kind)).count();
        assert_eq!([ParameterKind::AdapterA, ParameterKind::AdapterB].map(n), [7 * n_layers; 2]);
        assert_eq!(found.len(), 14 * n_layers, "the rest is frozen");
    }

    #[test]
    fn a_group_of_nothing_that_is_trained_is_refused() {
        let model = Llama::init(&LlamaConfig::tiny(32), 1, &device("cpu").unwrap()).unwrap();
        let check = |text: &str, model: &Llama| {
            let group: ParameterGroup = text.parse().unwrap();
            check_groups(&[group], model).map_err(|error| error.to_string())
        };
        assert_eq!(check("attention=0.5", &model), Ok(()));
        let error = check("adapter_b=16", &model).unwrap_err();
        assert!(error.contains("`adapter_b`") && error.contains("embedding, norm"), "{error}");
        let model = model.with_lora(&LoraConfig::default()).unwrap();
        assert_eq!(check("adapter_b=16", &model), Ok(()));
        assert!(check("attention=0.5", &model).unwrap_err().contains("adapter_a, adapter_b"));
    }

    #[test]
    fn the_last_group_of_a_kind_counts() {
        let path = |name: &str| vec!["layers".to_owned(), "0".to_owned(), name.to_owned()];
        let adamw = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
        let groups = ["attention=0.5", "attention=2,0.3", "normalisation=1,0.2"];
        let groups = groups.map(|text| text.parse::<ParameterGroup>().unwrap());
        assert_eq!(treatment(&groups, &adamw, &path("qkv"), true), (2.0, 0.3));
        assert_eq!(treatment(&groups, &adamw, &path("down"), true), (1.0, 0.1));
        assert_eq!(treatment(&groups, &adamw, &path("attention_norm"), false), (1.0, 0.2));
        assert_eq!(treatment(&[], &adamw, &path("attention_norm"), false), (1.0, 0.0));
    }

    #[test]
    fn what_is_no_group_is_named() {
        let error = |text: &str| text.parse::<ParameterGroup>().unwrap_err();
        assert!(error("bias=1").contains("one of embedding, output_layer"));
        assert!(error("embedding").contains("KIND=FACTOR"));
        assert!(error("embedding=fast").contains("in place of `fast`"));
        let group: ParameterGroup = "embedding=-1".parse().unwrap();
        assert!(group.validate().unwrap_err().to_string().contains("learning_rate_factor"));
    }
}
