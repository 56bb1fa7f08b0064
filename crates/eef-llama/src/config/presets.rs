//! Shapes of published models, to reckon with and to run with random weights.

use serde_json::{Value, json};

use crate::{LlamaConfig, LlamaError};

/// The names that [`LlamaConfig::preset`] knows.
pub const PRESETS: [&str; 8] = [
    "smollm2-135m",
    "tinyllama-1.1b",
    "llama3.2-1b",
    "llama2-7b",
    "mistral-7b-v0.1",
    "mistral-7b-v0.3",
    "llama3-8b-instruct",
    "llama3.1-8b-instruct",
];

impl LlamaConfig {
    /// The shape of a published model by its name, one of [`PRESETS`]: without its files, but with
    /// the figures of its `config.json`.
    ///
    /// ```
    /// let config = eef_llama::LlamaConfig::preset("llama3-8b-instruct")?;
    /// assert_eq!(config.n_parameters(), 8_030_261_248);
    /// # Ok::<(), eef_llama::LlamaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where there is none of this name.
    pub fn preset(name: &str) -> Result<Self, LlamaError> {
        // vocabulary, hidden, feed-forward, layers, query heads, key and value heads, positions
        let (sizes, theta, other) = match name {
            "smollm2-135m" => ([49_152, 576, 1_536, 30, 9, 3, 8_192], 1e5, json!({})),
            "tinyllama-1.1b" => ([32_000, 2_048, 5_632, 22, 32, 4, 2_048], 1e4, json!({})),
            "llama3.2-1b" => {
                ([128_256, 2_048, 8_192, 16, 32, 8, 131_072], 5e5, llama3_scaling(32.0))
            }
            "llama2-7b" => ([32_000, 4_096, 11_008, 32, 32, 32, 4_096], 1e4, json!({})),
            "mistral-7b-v0.1" => {
                let window = json!({"model_type": "mistral", "sliding_window": 4_096});
                ([32_000, 4_096, 14_336, 32, 32, 8, 32_768], 1e4, window)
            }
            "mistral-7b-v0.3" => {
                let whole = json!({"model_type": "mistral", "sliding_window": null});
                ([32_768, 4_096, 14_336, 32, 32, 8, 32_768], 1e6, whole)
            }
            "llama3-8b-instruct" => ([128_256, 4_096, 14_336, 32, 32, 8, 8_192], 5e5, json!({})),
            "llama3.1-8b-instruct" => {
                ([128_256, 4_096, 14_336, 32, 32, 8, 131_072], 5e5, llama3_scaling(8.0))
            }
            _ => {
                let (name, known) = (name.to_owned(), PRESETS.join(", "));
                return Err(LlamaError::UnknownPreset { name, known });
            }
        };
        let [vocab_size, hidden_size, intermediate_size, layers, heads, key_values, positions] =
            sizes;
        let is_mistral = other.get("model_type").is_some();
        let architecture = if is_mistral { "MistralForCausalLM" } else { "LlamaForCausalLM" };
        let mut other = other.as_object().cloned().unwrap_or_default();
        other.insert("architectures".to_owned(), Value::from(vec![architecture]));
        Ok(Self {
            vocab_size,
            hidden_size,
            intermediate_size,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: Some(key_values),
            head_dim: None,
            max_position_embeddings: positions,
            rms_norm_eps: 1e-5,
            rope_theta: theta,
            tie_word_embeddings: matches!(name, "smollm2-135m" | "llama3.2-1b"),
            other,
        })
    }

    /// Bytes of the weights, where a number takes so many.
    pub fn weight_bytes(&self, bytes_per_number: usize) -> u64 {
        (self.n_parameters() as u64).saturating_mul(bytes_per_number as u64)
    }

    /// Bytes of the keys and values of one token in all layers, where a number takes so many.
    pub fn cache_bytes_per_token(&self, bytes_per_number: usize) -> u64 {
        let numbers = 2 * self.num_hidden_layers * self.n_key_value_heads() * self.head_dim();
        numbers as u64 * bytes_per_number as u64
    }
}

fn llama3_scaling(factor: f64) -> Value {
    json!({"rope_scaling": {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8_192,
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts that the models' cards give.
    #[test]
    fn presets_have_the_published_sizes() {
        let counts = [
            134_515_008,
            1_100_048_384,
            1_235_814_400,
            6_738_415_616,
            7_241_732_096,
            7_248_023_552,
            8_030_261_248,
            8_030_261_248,
        ];
        for (name, n_parameters) in PRESETS.into_iter().zip(counts) {
            let config = LlamaConfig::preset(name).unwrap();
            config.validate().unwrap();
            assert_eq!(config.n_parameters(), n_parameters, "{name}");
            let again = LlamaConfig::from_json("config.json".as_ref(), &config.to_json()).unwrap();
            assert_eq!(again.rope_scaling().unwrap(), config.rope_scaling().unwrap(), "{name}");
            assert_eq!(again.sliding_window(), config.sliding_window(), "{name}");
        }
        let config = LlamaConfig::preset("llama3-8b-instruct").unwrap();
        assert_eq!(config.weight_bytes(2), 16_060_522_496);
        assert_eq!(config.cache_bytes_per_token(2), 131_072);
        assert_eq!(LlamaConfig::preset("mistral-7b-v0.1").unwrap().sliding_window(), Some(4_096));
        let message = LlamaConfig::preset("llama4").unwrap_err().to_string();
        assert!(message.contains("`llama4`") && message.contains("mistral-7b-v0.3"), "{message}");
    }
}
