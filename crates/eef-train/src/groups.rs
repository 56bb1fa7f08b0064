//! Parameters that are trained in a way of their own.

use serde::{Deserialize, Serialize};

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
/// let config = TrainConfig { groups: vec![group], ..TrainConfig::default() };
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
    pub(crate) fn validate(&self) -> Result<(), TrainError> {
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

    /// Reads `KIND=FACTOR` or `KIND=FACTOR,DECAY`, such as `embedding=0.1,0`.
    fn from_str(text: &str) -> Result<Self, String> {
        let names = || ParameterKind::ALL.map(|(name, _)| name).join(", ");
        let number = |text: &str| {
            text.trim().parse::<f64>().map_err(|_| format!("`{text}` is not a number"))
        };
        let (kind, values) = text.split_once('=').ok_or_else(|| {
            "expected KIND=FACTOR or KIND=FACTOR,DECAY, such as embedding=0.1,0".to_owned()
        })?;
        let known = ParameterKind::ALL.into_iter().find(|(name, _)| *name == kind.trim());
        let Some((_, parameters)) = known else {
            return Err(format!("no parameters are called `{kind}`; expected one of {}", names()));
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
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::Tensor;
    use eef_llama::{Llama, LlamaConfig, LoraConfig, device};

    use super::*;

    /// Writes down the kind of every parameter.
    #[derive(Default)]
    struct Kinds {
        path: Vec<String>,
        found: Vec<Option<ParameterKind>>,
    }

    impl ModuleVisitor for Kinds {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
            self.found.push(ParameterKind::of(&self.path));
        }
    }

    #[test]
    fn every_parameter_of_a_model_is_of_a_kind() {
        let shape = LlamaConfig { tie_word_embeddings: false, ..LlamaConfig::tiny(32) };
        let n_layers = shape.num_hidden_layers;
        let model = Llama::init(&shape, 1, &device("cpu").unwrap()).unwrap();
        let model = model.with_lora(&LoraConfig::default()).unwrap();
        let mut kinds = Kinds::default();
        model.visit(&mut kinds);
        let n = |kind| kinds.found.iter().filter(|found| **found == Some(kind)).count();
        assert!(kinds.found.iter().all(Option::is_some), "{:?}", kinds.found);
        let per_layer = [2, 2, 2, 7, 7].map(|n| n * n_layers);
        assert_eq!(n(ParameterKind::Normalisation), per_layer[0] + 1);
        assert_eq!([n(ParameterKind::Attention), n(ParameterKind::FeedForward)], per_layer[1..3]);
        assert_eq!([n(ParameterKind::AdapterA), n(ParameterKind::AdapterB)], per_layer[3..]);
        assert_eq!([n(ParameterKind::Embedding), n(ParameterKind::OutputLayer)], [1, 1]);
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
        assert!(error("bias=1").contains("`bias`; expected one of embedding, output_layer"));
        assert!(error("embedding").contains("KIND=FACTOR"));
        assert!(error("embedding=fast").contains("`fast` is not a number"));
        let group: ParameterGroup = "embedding=-1".parse().unwrap();
        assert!(group.validate().unwrap_err().to_string().contains("learning_rate_factor"));
    }
}
