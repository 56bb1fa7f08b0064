//! Rotary embeddings that reach further than they were trained to.

use serde_json::{Map, Value};

use super::validate::check;
use crate::LlamaError;

/// How a rotary embedding's wavelengths are stretched, so that a model reads longer texts than it
/// was first trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// They are not.
    None,
    /// All alike.
    Linear {
        /// By how much.
        factor: f64,
    },
    /// LLaMA 3.1's: long wavelengths by a factor, short ones not at all, those between by some of
    /// it. Source: `_compute_llama3_parameters` of transformers.
    Llama3 {
        /// How much the long ones are stretched.
        factor: f64,
        /// Wavelengths are long that fit less often than this into the original length.
        low_freq_factor: f64,
        /// Wavelengths are short that fit more often than this.
        high_freq_factor: f64,
        /// The length that the model was first trained on, in tokens.
        original_max_position_embeddings: f64,
    },
}

impl RopeScaling {
    /// Reads `rope_parameters` or `rope_scaling`.
    pub(super) fn parse(rope: &Map<String, Value>) -> Result<Self, LlamaError> {
        let kinds = ["rope_type", "type"].into_iter().filter_map(|key| rope.get(key));
        let kind = kinds.into_iter().find(|kind| !kind.is_null()).unwrap_or(&Value::Null);
        let number = |field: &'static str, key: &str| {
            let found = rope.get(key).unwrap_or(&Value::Null);
            let value = found.as_f64().filter(|value| value.is_finite() && *value > 0.0);
            check(field, found, value.is_some(), "a positive number")?;
            Ok::<_, LlamaError>(value.unwrap_or_default())
        };
        let factor = || number("the rotary embedding's factor", "factor");
        let stretches = rope.get("factor").is_some_and(|factor| !factor.is_null());
        match kind.as_str() {
            None if kind.is_null() && !stretches => Ok(Self::None),
            Some("default") => Ok(Self::None),
            Some("linear") => Ok(Self::Linear { factor: factor()? }),
            Some("llama3") => {
                let low = number("low_freq_factor", "low_freq_factor")?;
                let high = number("high_freq_factor", "high_freq_factor")?;
                check("high_freq_factor", high, high > low, "more than low_freq_factor")?;
                let original =
                    number("original_max_position_embeddings", "original_max_position_embeddings")?;
                Ok(Self::Llama3 {
                    factor: factor()?,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original_max_position_embeddings: original,
                })
            }
            _ => {
                check("rope_type", kind, false, "\"default\", \"linear\" or \"llama3\"")?;
                Ok(Self::None)
            }
        }
    }

    /// The frequency that takes the place of one, in radians per position; rounded where
    /// transformers rounds.
    pub(crate) fn apply(self, frequency: f32) -> f32 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor as f32,
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original,
            } => {
                let wavelength = std::f32::consts::TAU / frequency;
                if wavelength > (original / low_freq_factor) as f32 {
                    return frequency / factor as f32;
                }
                if wavelength < (original / high_freq_factor) as f32 {
                    return frequency;
                }
                let (low, high) = (low_freq_factor as f32, high_freq_factor as f32);
                let smooth = (original as f32 / wavelength - low) / (high - low);
                (1.0 - smooth) * frequency / factor as f32 + smooth * frequency
            }
        }
    }
}
