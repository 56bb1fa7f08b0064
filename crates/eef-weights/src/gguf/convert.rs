//! A GGUF file as a Hugging Face directory.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::names::{hugging_face, unpermute};
use super::{Gguf, GgufValue, tokenizer};
use crate::{ElementType, WeightsError, WriteOptions, write_atomically, write_shards};

/// The frequencies of LLaMA 3.1's scaling that the file's own factors may differ by.
const FACTOR_TOLERANCE: f64 = 1e-3;

/// What a conversion wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Number of weights.
    pub n_parameters: u64,
    /// Number of tensors.
    pub n_tensors: usize,
    /// The weights' files.
    pub files: Vec<String>,
    /// Whether the file had a chat template, and it was written too.
    pub has_chat_template: bool,
}

impl Gguf {
    /// Writes a Hugging Face directory with what the file holds: weights (dequantised),
    /// `config.json`, `tokenizer.json`, `tokenizer_config.json`, `generation_config.json`, and the
    /// chat template.
    ///
    /// Models of the architecture `llama` can be converted: LLaMA and Mistral. Memory is about that of
    /// the largest tensor, twice. `progress` is told how many tensors of how many are written.
    ///
    /// # Errors
    ///
    /// Where the file lacks something, or has something that this crate does not know; where a file
    /// cannot be written.
    pub fn convert(
        &self,
        directory: &Path,
        options: WriteOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Converted, WeightsError> {
        let shape = Shape::of(self)?;
        let config = self.config(&shape, options.element_type)?;
        let tokenizer = tokenizer::files(self)?;
        let (mut sources, mut tensors) = (BTreeMap::new(), Vec::new());
        let mut n_parameters = 0;
        for name in self.names() {
            if name == "rope_freqs.weight" {
                continue;
            }
            let target = hugging_face(name).ok_or_else(|| {
                self.refuse(format!("tensor {name} has no place in a LLaMA or Mistral model"))
            })?;
            let sides = self.tensor(name)?.0.to_vec();
            n_parameters += sides.iter().product::<usize>() as u64;
            sources.insert(target.clone(), name);
            tensors.push((target, sides));
        }
        self.check_complete(&config, &tensors)?;
        let (n_tensors, mut n_written) = (tensors.len(), 0);
        let files = write_shards(directory, &pretty(&config), &tensors, options, &mut |target| {
            progress(n_written, n_tensors);
            n_written += 1;
            let source = sources.get(target).copied().unwrap_or_default();
            let (sides, _) = self.tensor(source)?;
            let n_rows = sides.first().copied().unwrap_or(1);
            let values = self.read(source)?;
            Ok(match target.rsplit('.').nth(1) {
                Some("q_proj") => unpermute(&values, n_rows, shape.n_heads),
                Some("k_proj") => unpermute(&values, n_rows, shape.n_key_value_heads),
                _ => values,
            })
        })?;
        progress(n_tensors, n_tensors);
        let has_chat_template = tokenizer.chat_template.is_some();
        for (name, text) in [
            ("tokenizer.json", Some(tokenizer.tokenizer.to_string())),
            ("tokenizer_config.json", Some(pretty(&tokenizer.config))),
            ("chat_template.jinja", tokenizer.chat_template),
            ("generation_config.json", Some(pretty(&generation(&config)))),
        ] {
            if let Some(text) = text {
                write_atomically(&directory.join(name), |file| file.write_all(text.as_bytes()))?;
            }
        }
        Ok(Converted { n_parameters, n_tensors, files, has_chat_template })
    }

    fn config(&self, shape: &Shape, element_type: ElementType) -> Result<Value, WeightsError> {
        let (n_vocabulary, hidden) = match self.tensor("token_embd.weight")?.0 {
            [rows, columns] => (*rows, *columns),
            other => return Err(self.refuse(format!("token_embd.weight has shape {other:?}"))),
        };
        if hidden != shape.hidden {
            let reason = format!("embeddings are {hidden} wide, but it says {}", shape.hidden);
            return Err(self.refuse(reason));
        }
        let theta = self.optional("llama.rope.freq_base", GgufValue::as_number)?;
        let mut config = json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
            "vocab_size": n_vocabulary,
            "hidden_size": shape.hidden,
            "intermediate_size": self.count("llama.feed_forward_length")?,
            "num_hidden_layers": self.count("llama.block_count")?,
            "num_attention_heads": shape.n_heads,
            "num_key_value_heads": shape.n_key_value_heads,
            "head_dim": shape.head_dim,
            "max_position_embeddings": self.count("llama.context_length")?,
            "rms_norm_eps": shortest(self.number("llama.attention.layer_norm_rms_epsilon")?),
            "rope_theta": shortest(theta.unwrap_or(10_000.0)),
            "tie_word_embeddings": !self.names().any(|name| name == "output.weight"),
            "torch_dtype": element_type.torch_name(),
            "use_cache": true,
        });
        for (field, key) in [("bos", "bos"), ("eos", "eos"), ("pad", "padding")] {
            let key = format!("tokenizer.ggml.{key}_token_id");
            if let Some(id) = self.optional(&key, GgufValue::as_count)? {
                config[format!("{field}_token_id")] = id.into();
            }
        }
        if let Some(scaling) = self.rope_scaling(shape, theta.unwrap_or(10_000.0))? {
            config["rope_scaling"] = scaling;
        }
        Ok(config)
    }

    /// Refuses a file that has other tensors, or of other shapes, than its header describes: the
    /// first of several parts, or one that was cut and mended.
    fn check_complete(
        &self,
        config: &Value,
        tensors: &[(String, Vec<usize>)],
    ) -> Result<(), WeightsError> {
        if let Some(n) = self.optional("split.count", GgufValue::as_count)?.filter(|n| *n > 1) {
            let reason =
                format!("it is one of {n} parts: join them first (`llama-gguf-split --merge`)");
            return Err(self.refuse(reason));
        }
        let side = |key: &str| config[key].as_u64().unwrap_or(0) as usize;
        let (hidden, inner) = (side("hidden_size"), side("intermediate_size"));
        let query = side("num_attention_heads").saturating_mul(side("head_dim"));
        let key_value = side("num_key_value_heads").saturating_mul(side("head_dim"));
        let of_layer = [
            ("input_layernorm", vec![hidden]),
            ("mlp.down_proj", vec![hidden, inner]),
            ("mlp.gate_proj", vec![inner, hidden]),
            ("mlp.up_proj", vec![inner, hidden]),
            ("post_attention_layernorm", vec![hidden]),
            ("self_attn.k_proj", vec![key_value, hidden]),
            ("self_attn.o_proj", vec![hidden, query]),
            ("self_attn.q_proj", vec![query, hidden]),
            ("self_attn.v_proj", vec![key_value, hidden]),
        ];
        let table = vec![side("vocab_size"), hidden];
        let mut expected = BTreeMap::from([
            ("model.embed_tokens.weight".to_owned(), table.clone()),
            ("model.norm.weight".to_owned(), vec![hidden]),
        ]);
        if config["tie_word_embeddings"] == false {
            expected.insert("lm_head.weight".to_owned(), table);
        }
        // Not more layers than there can be: the number is the file's.
        for layer in 0..side("num_hidden_layers").min(tensors.len()) {
            for (name, sides) in &of_layer {
                expected.insert(format!("model.layers.{layer}.{name}.weight"), sides.clone());
            }
        }
        for (name, sides) in tensors {
            match expected.remove(name) {
                Some(expected) if expected == *sides => {}
                Some(expected) => {
                    let reason =
                        format!("{name} has shape {sides:?}, its header says {expected:?}");
                    return Err(self.refuse(reason));
                }
                None => {
                    let n = side("num_hidden_layers");
                    let reason = format!("{name} is no part of a model of {n} layers");
                    return Err(self.refuse(reason));
                }
            }
        }
        match expected.keys().next() {
            None => Ok(()),
            Some(name) => {
                let n = expected.len();
                Err(self.refuse(format!("{n} tensors are missing, such as {name}: fetch it again")))
            }
        }
    }

    /// How rotary embeddings are stretched.
    fn rope_scaling(&self, shape: &Shape, theta: f64) -> Result<Option<Value>, WeightsError> {
        let factor = self.optional("llama.rope.scaling.factor", GgufValue::as_number)?;
        match self
            .optional("llama.rope.scaling.type", |value| value.as_text().map(str::to_owned))?
        {
            Some(kind) if kind == "linear" => {
                let factor = factor.ok_or_else(|| self.lacks("llama.rope.scaling.factor"))?;
                return Ok(Some(json!({"rope_type": "linear", "factor": shortest(factor)})));
            }
            Some(kind) if kind != "none" => {
                return Err(self.refuse(format!("its RoPE scaling `{kind}` is not known here")));
            }
            _ => {}
        }
        if !self.names().any(|name| name == "rope_freqs.weight") {
            return Ok(None);
        }
        // The file has one divisor for each frequency; they must be those of LLaMA 3.1's formula.
        let divisors = self.read("rope_freqs.weight")?;
        let factor = divisors.iter().copied().map(f64::from).fold(1.0, f64::max);
        let (low, high, original) = (1.0, 4.0, 8_192.0);
        let expected = (0..shape.head_dim / 2).map(|i| {
            let exponent = 2.0 * i as f64 / shape.head_dim as f64;
            let wavelength = std::f64::consts::TAU * theta.powf(exponent);
            if wavelength > original / low {
                factor
            } else if wavelength < original / high {
                1.0
            } else {
                let smooth = (original / wavelength - low) / (high - low);
                1.0 / ((1.0 - smooth) / factor + smooth)
            }
        });
        let is_llama3 = divisors.len() == shape.head_dim / 2
            && divisors.iter().zip(expected).all(|(found, expected)| {
                (f64::from(*found) - expected).abs() <= expected * FACTOR_TOLERANCE
            });
        if !is_llama3 {
            return Err(self.refuse("its rope_freqs are not those of LLaMA 3.1's scaling".into()));
        }
        Ok(Some(json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low,
            "high_freq_factor": high,
            "original_max_position_embeddings": 8_192,
        })))
    }

    /// A value that may be missing, but may not be of another kind.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&GgufValue) -> Option<T>,
    ) -> Result<Option<T>, WeightsError> {
        let Some(value) = self.metadata(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.refuse(format!("{key} is of an unexpected kind")))
    }

    pub(super) fn lacks(&self, key: &str) -> WeightsError {
        self.refuse(format!("it lacks {key}"))
    }

    fn count(&self, key: &str) -> Result<usize, WeightsError> {
        self.optional(key, GgufValue::as_count)?.ok_or_else(|| self.lacks(key))
    }

    fn number(&self, key: &str) -> Result<f64, WeightsError> {
        self.optional(key, GgufValue::as_number)?.ok_or_else(|| self.lacks(key))
    }
}

/// What names and shapes of tensors depend on.
struct Shape {
    hidden: usize,
    n_heads: usize,
    n_key_value_heads: usize,
    head_dim: usize,
}

impl Shape {
    fn of(gguf: &Gguf) -> Result<Self, WeightsError> {
        let architecture = gguf.metadata("general.architecture").and_then(GgufValue::as_text);
        if architecture != Some("llama") {
            let found = architecture.unwrap_or("nothing");
            let reason = format!("general.architecture is {found}; llama can be converted");
            return Err(gguf.refuse(reason));
        }
        if gguf.optional("llama.expert_count", GgufValue::as_count)?.unwrap_or(0) > 0 {
            return Err(gguf.refuse("it is a mixture of experts".to_owned()));
        }
        let hidden = gguf.count("llama.embedding_length")?;
        let n_heads = gguf.count("llama.attention.head_count")?;
        let n_key_value_heads =
            gguf.optional("llama.attention.head_count_kv", GgufValue::as_count)?.unwrap_or(n_heads);
        let head_dim = gguf
            .optional("llama.attention.key_length", GgufValue::as_count)?
            .or(gguf.optional("llama.rope.dimension_count", GgufValue::as_count)?)
            .or(hidden.checked_div(n_heads))
            .unwrap_or(0);
        let shape = Self { hidden, n_heads, n_key_value_heads, head_dim };
        shape.check(gguf)?;
        Ok(shape)
    }

    /// Putting rows in order relies on their number.
    fn check(&self, gguf: &Gguf) -> Result<(), WeightsError> {
        for (part, n_heads) in [("attn_q", self.n_heads), ("attn_k", self.n_key_value_heads)] {
            for name in gguf.names().filter(|name| name.ends_with(&format!(".{part}.weight"))) {
                let sides = gguf.tensor(name)?.0;
                let expected = n_heads.checked_mul(self.head_dim);
                let is_even = self.head_dim > 0 && self.head_dim.is_multiple_of(2);
                if sides.len() != 2 || Some(sides[0]) != expected || !is_even {
                    let reason = format!(
                        "{name} has shape {sides:?}, not the rows of {n_heads} heads of {}",
                        self.head_dim
                    );
                    return Err(gguf.refuse(reason));
                }
            }
        }
        Ok(())
    }
}

/// The file has it as `f32`: the shortest number that is that one.
fn shortest(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}

/// The token ids of a configuration, for `generate`.
fn generation(config: &Value) -> Value {
    let keys = ["bos_token_id", "eos_token_id", "pad_token_id"];
    let present =
        keys.into_iter().filter_map(|key| Some((key.to_owned(), config.get(key)?.clone())));
    Value::Object(present.collect())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
