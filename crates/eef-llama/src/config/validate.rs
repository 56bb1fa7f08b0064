//! Which shapes can be built.

use serde_json::Value;

use crate::{LlamaConfig, LlamaError};

/// Beyond it, counts of weights and of their bytes could overflow; no real model is near it.
const MOST_WEIGHTS: u64 = 1 << 48;

/// Positions times the width of a head: 1 GiB of cosines and sines, a million positions of LLaMA's
/// heads twice over. A number in a file must not be able to ask for all the memory.
const MOST_ANGLES: usize = 1 << 28;

impl LlamaConfig {
    /// Checks that a model of this shape can be built.
    ///
    /// # Errors
    ///
    /// Names the first field that is impossible or not supported.
    pub fn validate(&self) -> Result<(), LlamaError> {
        let counts = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.n_key_value_heads()),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        for (field, value) in counts {
            check(field, value, value > 0 && value < 1 << 30, "between 1 and 2^30")?;
        }
        let heads = self.num_attention_heads;
        if self.head_dim.is_none() {
            let (hidden, divides) = (self.hidden_size, self.hidden_size.is_multiple_of(heads));
            check("hidden_size", hidden, divides, "a multiple of num_attention_heads")?;
        }
        let head_dim = self.head_dim();
        let even = head_dim > 0 && head_dim.is_multiple_of(2) && head_dim < 1 << 16;
        check("head_dim", head_dim, even, "an even number below 2^16: rotation works on pairs")?;
        let key_value = self.n_key_value_heads();
        let divides = heads.is_multiple_of(key_value);
        check("num_key_value_heads", key_value, divides, "a divisor of num_attention_heads")?;
        let epsilon = self.rms_norm_eps;
        let usable = epsilon > 0.0 && epsilon < 1.0;
        check("rms_norm_eps", epsilon, usable, "a small positive number")?;
        let theta = self.rope_theta;
        check("rope_theta", theta, theta > 0.0 && theta.is_finite(), "a positive number")?;
        self.count_weights()?;
        let (positions, most) = (self.max_position_embeddings, MOST_ANGLES / head_dim);
        let expected = format!(
            "at most {most}, since a table holds the rotations of every position: lower it to the \
             longest sequence that is needed"
        );
        check("max_position_embeddings", positions, positions <= most, &expected)?;
        self.refuse_unsupported()
    }

    /// Counts the weights part by part; the error names the field whose part is beyond all models.
    pub(super) fn count_weights(&self) -> Result<u64, LlamaError> {
        let (hidden, inner) = (self.hidden_size as u64, self.intermediate_size as u64);
        let (n_query, n_key_value) =
            (self.num_attention_heads as u64, self.n_key_value_heads() as u64);
        let part = |field, found: usize, factors: &[u64]| -> Result<u64, LlamaError> {
            let n = factors.iter().try_fold(1u64, |n, factor| n.checked_mul(*factor));
            let n = n.filter(|n| *n <= MOST_WEIGHTS);
            check(field, found, n.is_some(), "less: the model would have more than 2^48 weights")?;
            Ok(n.unwrap_or(0))
        };
        let heads = n_query.saturating_add(n_key_value);
        let attention = [2, hidden, heads, self.head_dim() as u64];
        let attention = part("num_attention_heads", self.num_attention_heads, &attention)?;
        let feed_forward = part("intermediate_size", self.intermediate_size, &[3, hidden, inner])?;
        let norms = part("hidden_size", self.hidden_size, &[2, hidden])?;
        let layer = attention + feed_forward + norms;
        let layers = [self.num_hidden_layers as u64, layer];
        let layers = part("num_hidden_layers", self.num_hidden_layers, &layers)?;
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        let vocabulary =
            part("vocab_size", self.vocab_size, &[tables, self.vocab_size as u64, hidden])?;
        Ok(layers + vocabulary + hidden)
    }

    /// A field that changes the arithmetic and is not known here must not be ignored.
    fn refuse_unsupported(&self) -> Result<(), LlamaError> {
        let refused = |field: &'static str, allowed: &[Value], expected: &str| {
            let found = self.other.get(field).unwrap_or(&Value::Null);
            let fine = found.is_null() || allowed.contains(found);
            check(field, found, fine, expected)
        };
        refused("model_type", &["llama".into(), "mistral".into()], "\"llama\" or \"mistral\"")?;
        refused("hidden_act", &["silu".into(), "swish".into()], "\"silu\"")?;
        refused("attention_bias", &[false.into()], "false: biases are not supported")?;
        refused("mlp_bias", &[false.into()], "false: biases are not supported")?;
        refused("quantization_config", &[], "null: quantised weights are not read")?;
        let window = self.other.get("sliding_window").unwrap_or(&Value::Null);
        let usable = window.is_null() || window.as_u64().is_some_and(|n| n > 0);
        check("sliding_window", window, usable, "null, or a number of tokens above 0")?;
        for field in ["rope_parameters", "rope_scaling"] {
            let found = self.other.get(field).unwrap_or(&Value::Null);
            check(field, found, found.is_null() || found.is_object(), "an object, or null")?;
        }
        self.rope_scaling().map(|_| ())
    }
}

/// Refuses a field's value.
pub(super) fn check(
    field: &'static str,
    found: impl ToString,
    fine: bool,
    expected: &str,
) -> Result<(), LlamaError> {
    if fine {
        return Ok(());
    }
    let (found, expected) = (found.to_string(), expected.to_owned());
    Err(LlamaError::ConfigValue { path: "config.json".into(), field, found, expected })
}
