//! The shape of a model.

mod presets;
mod rope;
mod validate;

use std::collections::BTreeMap;
use std::path::Path;

use eef_weights::ElementType;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use presets::PRESETS;
pub use rope::RopeScaling;

use crate::LlamaError;
use validate::check;

/// The shape of a LLaMA-family model, in the words of Hugging Face's `config.json`.
///
/// Fields that this crate does not use (token ids, the library version) are kept and written back.
///
/// ```
/// let text = r#"{"model_type": "llama", "vocab_size": 100, "hidden_size": 32,
///     "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
///     "num_key_value_heads": 2, "max_position_embeddings": 128}"#;
/// let config = eef_llama::LlamaConfig::from_json("config.json".as_ref(), text)?;
/// assert_eq!(config.head_dim(), 8);
/// assert_eq!(config.rope_theta, 10_000.0);
/// # Ok::<(), eef_llama::LlamaError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads; each serves a group of query heads. Without it, as many as
    /// query heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<usize>,
    /// Width of a head; without it, `hidden_size / num_attention_heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Added to the mean square in normalisation.
    #[serde(default = "default_epsilon")]
    pub rms_norm_eps: f64,
    /// Base of the rotary embedding's wavelengths. Newer files say it in `rope_parameters`, and it
    /// is taken from there when they are read.
    #[serde(default = "default_theta")]
    pub rope_theta: f64,
    /// Whether the output layer is the embedding, transposed.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// The other fields of `config.json`, as they were.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn default_epsilon() -> f64 {
    1e-6
}

fn default_theta() -> f64 {
    10_000.0
}

impl LlamaConfig {
    /// Reads the text of a `config.json`; `path` is for messages.
    ///
    /// # Errors
    ///
    /// Where a field is missing or has a value that is impossible or not supported.
    pub fn from_json(path: &Path, text: &str) -> Result<Self, LlamaError> {
        let config: Self = serde_json::from_str(text).map_err(|error| {
            LlamaError::ConfigSyntax { path: path.to_owned(), message: error.to_string() }
        })?;
        config.completed(text).map_err(|error| error.in_file(path))
    }

    /// The configuration that a file's text means.
    fn completed(mut self, text: &str) -> Result<Self, LlamaError> {
        let config = &mut self;
        for name in ["rope_scaling", "rope_parameters"] {
            let rope = config.other.get_mut(name).and_then(Value::as_object_mut);
            if let Some(theta) = rope.and_then(|rope| rope.remove("rope_theta")) {
                let usable = theta.as_f64();
                check("rope_theta", theta, usable.is_some(), "a positive number")?;
                config.rope_theta = usable.unwrap_or_default();
            }
        }
        config.take_family_defaults(text);
        config.validate()?;
        Ok(self)
    }

    /// What a field that is absent means in its family, where that is something else than null
    /// means. Source: `MistralConfig` of transformers.
    fn take_family_defaults(&mut self, text: &str) {
        if self.other.get("model_type").and_then(Value::as_str) != Some("mistral") {
            return;
        }
        let fields: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        if !fields.contains_key("num_key_value_heads") {
            self.num_key_value_heads = Some(8);
        }
        self.other.entry("sliding_window").or_insert(Value::from(4096));
    }

    /// The text of a `config.json` that transformers reads, for weights written as `f32`.
    pub fn to_json(&self) -> String {
        self.to_json_of(ElementType::F32)
    }

    /// As [`to_json`](Self::to_json), for weights written as another type.
    pub fn to_json_of(&self, element_type: ElementType) -> String {
        let mut config = self.clone();
        let mut default = |name: &str, value: Value| {
            config.other.entry(name.to_owned()).or_insert(value);
        };
        default("architectures", Value::from(vec!["LlamaForCausalLM"]));
        default("model_type", Value::from("llama"));
        default("hidden_act", Value::from("silu"));
        // Programs that know one spelling alone must find the scaling too.
        if let Some(rope) = config.rope_parameters().filter(|_| !config.has_plain_rope()).cloned() {
            config.other.entry("rope_scaling".to_owned()).or_insert(Value::Object(rope));
        }
        let rope = config.other.get_mut("rope_parameters").and_then(Value::as_object_mut);
        if let Some(rope) = rope {
            rope.insert("rope_theta".to_owned(), config.rope_theta.into());
        }
        // Whatever the model was loaded from: a program that reads another type here than that of
        // the weights would round them. Newer versions of transformers say `dtype`.
        let written = || Value::from(element_type.torch_name());
        config.other.insert("torch_dtype".to_owned(), written());
        if let Some(dtype) = config.other.get_mut("dtype") {
            *dtype = written();
        }
        // Plain numbers, strings and maps with string keys: serialising them cannot fail. Sorted
        // here, because the order of `serde_json`'s maps depends on its features.
        let value = serde_json::to_value(&config).unwrap_or_default();
        let sorted: BTreeMap<String, Value> = serde_json::from_value(value).unwrap_or_default();
        serde_json::to_string_pretty(&sorted).unwrap_or_default() + "\n"
    }

    /// Number of key and value heads.
    pub fn n_key_value_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// How many positions a row attends to at most, itself included (Mistral 0.1); nothing where it
    /// attends to all before it. transformers ignores the field in files of other families, and so
    /// does this.
    pub fn sliding_window(&self) -> Option<usize> {
        if self.other.get("model_type").and_then(Value::as_str) != Some("mistral") {
            return None;
        }
        let window = self.other.get("sliding_window").and_then(Value::as_u64);
        window.and_then(|n| usize::try_from(n).ok()).filter(|n| *n < self.max_position_embeddings)
    }

    /// The tokens that end a text.
    pub fn eos_token_ids(&self) -> Vec<u32> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        match self.other.get("eos_token_id") {
            Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
            Some(value) => id(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The token that fills rows up in other programs. Its embedding gets no gradient as an input.
    pub fn pad_token_id(&self) -> Option<u32> {
        let id = self.other.get("pad_token_id").and_then(Value::as_u64);
        id.and_then(|id| u32::try_from(id).ok())
    }

    /// Number of weights; `usize::MAX` for more than [`validate`](Self::validate) accepts.
    pub fn n_parameters(&self) -> usize {
        let n = self.count_weights().ok();
        n.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX)
    }

    /// How the rotary embedding's wavelengths are stretched: `rope_parameters` as newer files spell
    /// it, else `rope_scaling`.
    ///
    /// # Errors
    ///
    /// Where a number is missing or impossible, or the kind is not supported.
    pub fn rope_scaling(&self) -> Result<RopeScaling, LlamaError> {
        let older = self.other.get("rope_scaling").and_then(Value::as_object);
        let [newer, older] =
            [self.rope_parameters(), older].map(|rope| rope.map(RopeScaling::parse));
        match (newer.transpose()?, older.transpose()?) {
            (Some(newer), Some(older)) => {
                let expected = "what rope_parameters say, or one of the two alone";
                check("rope_scaling", format!("{older:?}"), newer == older, expected)?;
                Ok(newer)
            }
            (newer, older) => Ok(newer.or(older).unwrap_or(RopeScaling::None)),
        }
    }

    fn rope_parameters(&self) -> Option<&Map<String, Value>> {
        self.other.get("rope_parameters").and_then(Value::as_object)
    }

    fn has_plain_rope(&self) -> bool {
        matches!(self.rope_scaling(), Ok(RopeScaling::None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str = r#"{"model_type": "llama", "vocab_size": 100, "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 128, "eos_token_id": [3, 7]}"#;

    fn parse(text: &str) -> Result<LlamaConfig, LlamaError> {
        LlamaConfig::from_json("config.json".as_ref(), text)
    }

    #[test]
    fn unused_fields_survive() {
        let config = parse(TINY).unwrap();
        let again = parse(&config.to_json()).unwrap();
        assert_eq!(again.other["eos_token_id"], serde_json::json!([3, 7]));
        assert_eq!(again.to_json(), config.to_json());
    }

    #[test]
    fn the_stored_type_is_the_one_that_is_written() {
        let half = r#""torch_dtype": "bfloat16", "dtype": "bfloat16", "vocab_size""#;
        let config = parse(&TINY.replacen("\"vocab_size\"", half, 1)).unwrap();
        assert_eq!(config.other["torch_dtype"], "bfloat16");
        let again = parse(&config.to_json()).unwrap();
        for field in ["torch_dtype", "dtype"] {
            assert_eq!(again.other[field], "float32");
        }
        let again = parse(&config.to_json_of(ElementType::BF16)).unwrap();
        assert_eq!(
            (&again.other["torch_dtype"], &again.other["dtype"]),
            (&"bfloat16".into(), &"bfloat16".into())
        );
        assert!(!parse(TINY).unwrap().to_json().contains("\"dtype\""));
    }

    #[test]
    fn numbers_that_no_model_has_are_refused_before_anything_is_allocated() {
        let tiny = parse(TINY).unwrap();
        let large = 1 << 29;
        let cases = [
            (
                "num_attention_heads",
                LlamaConfig {
                    hidden_size: large,
                    num_attention_heads: large,
                    num_key_value_heads: Some(1),
                    head_dim: Some(1 << 15),
                    ..tiny.clone()
                },
            ),
            (
                "intermediate_size",
                LlamaConfig {
                    hidden_size: large,
                    intermediate_size: large,
                    head_dim: Some(8),
                    ..tiny.clone()
                },
            ),
            (
                "num_hidden_layers",
                LlamaConfig {
                    intermediate_size: 1 << 20,
                    num_hidden_layers: large,
                    ..tiny.clone()
                },
            ),
            (
                "vocab_size",
                LlamaConfig {
                    hidden_size: 1 << 20,
                    head_dim: Some(8),
                    vocab_size: large,
                    ..tiny.clone()
                },
            ),
            (
                "max_position_embeddings",
                LlamaConfig { max_position_embeddings: large, ..tiny.clone() },
            ),
        ];
        for (field, config) in cases {
            let message = config.validate().unwrap_err().to_string();
            assert!(message.contains(&format!("{field} is ")), "{field} not in {message:?}");
            assert!(field == "max_position_embeddings" || config.n_parameters() == usize::MAX);
        }
        // A million positions of an 8B model's heads are fine.
        let long =
            LlamaConfig { head_dim: Some(128), max_position_embeddings: 1 << 20, ..tiny.clone() };
        long.validate().unwrap();
        assert_eq!(tiny.n_parameters(), 2 * (32 * 96 + 3 * 32 * 64 + 64) + 2 * 100 * 32 + 32);
    }

    /// LLaMA 3.1's numbers.
    const SCALED: &str = r#"{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}"#;

    #[test]
    fn wavelengths_are_stretched_as_llama_3_1_stretches_them() {
        let text = TINY.replacen('{', &format!("{{\"rope_scaling\": {SCALED},"), 1);
        let scaling = parse(&text).unwrap().rope_scaling().unwrap();
        // Frequencies of a head of 128 with a base of 500,000, by index: before, after. Computed
        // from the formula in 64 bits.
        let cases: [(f32, f64); 7] = [
            (1.0, 1.0),
            (0.003_942_276, 0.003_942_276),
            (0.003_211_446, 0.003_211_446),
            (0.002_131_119_6, 0.001_371_893_66),
            (0.000_938_473_85, 0.000_178_507_807),
            (0.000_622_772_44, 0.000_077_846_555),
            (2.455_140_7e-6, 3.068_925_9e-7),
        ];
        for (before, after) in cases {
            let found = f64::from(scaling.apply(before));
            assert!((found / after - 1.0).abs() < 2e-6, "{before}: {found} is not {after}");
        }
        assert_eq!(RopeScaling::Linear { factor: 4.0 }.apply(1.0), 0.25);
    }

    #[test]
    fn both_spellings_of_rotary_embeddings_say_the_same() {
        let older = format!("{{\"rope_theta\": 5e5, \"rope_scaling\": {SCALED},");
        let older = parse(&TINY.replacen('{', &older, 1)).unwrap();
        let newer = SCALED.replacen('{', "{\"rope_theta\": 5e5,", 1);
        let newer = format!("{{\"rope_parameters\": {newer},");
        let newer = parse(&TINY.replacen('{', &newer, 1)).unwrap();
        assert_eq!((older.rope_theta, newer.rope_theta), (5e5, 5e5));
        assert_eq!(older.rope_scaling().unwrap(), newer.rope_scaling().unwrap());
        assert!(matches!(newer.rope_scaling().unwrap(), RopeScaling::Llama3 { .. }));
        // What is written says both, and reads back the same.
        let written = newer.to_json();
        assert!(written.contains("rope_scaling") && written.contains("rope_parameters"));
        let again = parse(&written).unwrap();
        assert_eq!(again.rope_scaling().unwrap(), newer.rope_scaling().unwrap());
        assert_eq!(again.rope_theta, 5e5);
        let plain = "{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1e6},";
        let plain = parse(&TINY.replacen('{', plain, 1)).unwrap();
        assert_eq!((plain.rope_theta, plain.rope_scaling().unwrap()), (1e6, RopeScaling::None));
        assert!(!plain.to_json().contains("rope_scaling"));
    }

    #[test]
    fn spellings_that_disagree_are_refused_and_one_place_holds_the_base() {
        let both = "{\"rope_parameters\": {\"rope_theta\": 5e5, \"rope_type\": \"default\"}, \
             \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2},";
        let message = parse(&TINY.replacen('{', both, 1)).unwrap_err().to_string();
        assert!(message.contains("rope_scaling is Linear"), "{message}");
        let newer = "{\"rope_parameters\": {\"rope_theta\": 5e5, \"rope_type\": \"default\"},";
        let loaded = parse(&TINY.replacen('{', newer, 1)).unwrap();
        let changed = LlamaConfig { rope_theta: 1e6, ..loaded };
        assert_eq!(parse(&changed.to_json()).unwrap().rope_theta, 1e6);
        let older =
            "{\"rope_scaling\": {\"rope_theta\": 3e5, \"type\": \"linear\", \"factor\": 2},";
        let older = parse(&TINY.replacen('{', older, 1)).unwrap();
        assert_eq!(parse(&older.to_json()).unwrap().rope_theta, 3e5);
    }

    #[test]
    fn what_a_mistral_file_leaves_out_is_mistrals() {
        let text = TINY.replace("\"llama\"", "\"mistral\"").replace("128", "8192");
        assert_eq!(parse(&text).unwrap().sliding_window(), Some(4096));
        let text = text.replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 16");
        let text = text.replace("\"num_key_value_heads\": 2,", "");
        assert_eq!(parse(&text).unwrap().n_key_value_heads(), 8);
        let null =
            text.replacen('{', "{\"num_key_value_heads\": null, \"sliding_window\": null,", 1);
        let null = parse(&null).unwrap();
        assert_eq!((null.n_key_value_heads(), null.sliding_window()), (16, None));
    }

    #[test]
    fn a_window_is_mistrals_and_shorter_than_the_context() {
        let with = |kind: &str, window: &str| {
            let fields = format!("{{\"sliding_window\": {window},");
            let text = TINY.replacen('{', &fields, 1).replace("\"llama\"", kind);
            parse(&text).unwrap().sliding_window()
        };
        assert_eq!(with("\"mistral\"", "16"), Some(16));
        assert_eq!(with("\"mistral\"", "null"), None);
        assert_eq!(with("\"mistral\"", "4096"), None);
        assert_eq!(with("\"llama\"", "16"), None);
    }

    #[test]
    fn errors_name_the_field() {
        let cases = [
            ("\"hidden_size\": 32", "\"hidden_size\": 0", "hidden_size is 0"),
            ("\"hidden_size\": 32", "\"hidden_size\": 33", "multiple of num_attention_heads"),
            ("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "num_key_value_heads"),
            ("\"num_key_value_heads\": 2", "\"head_dim\": 7", "head_dim is 7"),
            ("\"num_key_value_heads\": 2", "\"rms_norm_eps\": 0", "rms_norm_eps"),
            ("\"num_key_value_heads\": 2", "\"attention_bias\": true", "attention_bias is true"),
            ("\"num_key_value_heads\": 2", "\"sliding_window\": 0", "sliding_window is 0"),
            ("\"num_key_value_heads\": 2", "\"rope_scaling\": 8", "rope_scaling is 8"),
            (
                "\"num_key_value_heads\": 2",
                "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 8}",
                "rope_type is \"yarn\"",
            ),
            (
                "\"num_key_value_heads\": 2",
                "\"rope_scaling\": {\"rope_type\": null, \"type\": \"yarn\", \"factor\": 8}",
                "rope_type is \"yarn\"",
            ),
            (
                "\"num_key_value_heads\": 2",
                "\"rope_scaling\": {\"rope_type\": 3, \"factor\": 8}",
                "rope_type is 3",
            ),
            (
                "\"num_key_value_heads\": 2",
                "\"rope_scaling\": {\"factor\": 8}",
                "rope_type is null",
            ),
            (
                "\"num_key_value_heads\": 2",
                "\"quantization_config\": {\"quant_method\": \"gptq\"}",
                "quantization_config is {\"quant_method\":\"gptq\"}",
            ),
            (
                "\"num_key_value_heads\": 2",
                "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8}",
                "low_freq_factor is null",
            ),
            (
                "\"num_key_value_heads\": 2",
                "\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 0}",
                "factor is 0",
            ),
            ("\"llama\"", "\"gpt2\"", "model_type is \"gpt2\""),
            ("\"vocab_size\": 100,", "", "missing field `vocab_size`"),
            ("100", "\"many\"", "config.json: invalid type"),
        ];
        for (from, to, expected) in cases {
            assert!(TINY.contains(from));
            let message = parse(&TINY.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected:?} not in {message:?}");
        }
    }
}
