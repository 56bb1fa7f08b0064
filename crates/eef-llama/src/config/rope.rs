//! Rotary embeddings that reach further than they were trained to.

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
