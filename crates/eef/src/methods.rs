//! The methods. One more is one file and one line in [`method`].

mod eef;
mod rft;
mod sft;

use eef_select::AnchorSchedule;
use serde::{Deserialize, Serialize};

use crate::{Method, RunError};

pub use eef::Eef;
pub use rft::Rft;
pub use sft::{SftAll, SftPos};

/// The names that [`method`] knows.
pub const METHODS: [&str; 5] = ["sft-all", "sft-pos", "rft", "rft-x6", "eef"];

/// What the methods can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MethodOptions {
    /// EEF: simulated states per expert trajectory and round (the paper's `M`).
    pub n_simulations: usize,
    /// EEF: where they lie, `floor` (the paper's) or `even`.
    pub anchors: String,
    /// RFT: distinct positives per solved task and round (DART-Uniform); 0 takes all of them
    /// (plain rejection sampling).
    pub positives_per_task: usize,
    /// RFTx6: the temperature of each rollout.
    pub temperatures: Vec<f32>,
}

impl Default for MethodOptions {
    fn default() -> Self {
        Self {
            n_simulations: 5,
            anchors: AnchorSchedule::Floor.name().to_owned(),
            positives_per_task: 1,
            temperatures: vec![0.2, 0.35, 0.5, 0.65, 0.8, 0.95],
        }
    }
}

/// The method of that name.
///
/// # Errors
/// [`RunError::UnknownMethod`], or [`RunError::Setting`] for an option without sense.
pub fn method(name: &str, options: &MethodOptions) -> Result<Box<dyn Method>, RunError> {
    let n_per_task = options.positives_per_task;
    Ok(match name {
        "sft-all" => Box::new(SftAll),
        "sft-pos" => Box::new(SftPos),
        "rft" => Box::new(Rft::new("rft", Vec::new(), n_per_task)),
        "rft-x6" => Box::new(Rft::new("rft-x6", temperatures(options)?, n_per_task)),
        "eef" => Box::new(Eef::new(options.n_simulations, schedule(options)?)),
        _ => {
            let found = name.to_owned();
            return Err(RunError::UnknownMethod { found, expected: METHODS.to_vec() });
        }
    })
}

fn schedule(options: &MethodOptions) -> Result<AnchorSchedule, RunError> {
    AnchorSchedule::from_name(&options.anchors).ok_or_else(|| RunError::Setting {
        field: "method.anchors",
        found: format!("`{}`", options.anchors),
        expected: "`floor` or `even`",
    })
}

fn temperatures(options: &MethodOptions) -> Result<Vec<f32>, RunError> {
    let sound = |temperature: &f32| temperature.is_finite() && *temperature >= 0.0;
    if options.temperatures.is_empty() || !options.temperatures.iter().all(sound) {
        return Err(RunError::Setting {
            field: "method.temperatures",
            found: format!("{:?}", options.temperatures),
            expected: "one or more numbers of 0 or more",
        });
    }
    Ok(options.temperatures.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_a_method() {
        for name in METHODS {
            assert_eq!(method(name, &MethodOptions::default()).unwrap().name(), name);
        }
        let error = method("ppo", &MethodOptions::default()).err().unwrap();
        assert!(error.to_string().contains("expected one of sft-all, sft-pos"), "{error}");
    }

    #[test]
    fn options_without_sense_are_named() {
        let options = MethodOptions { anchors: "odd".into(), ..MethodOptions::default() };
        let error = method("eef", &options).err().unwrap();
        assert_eq!(
            error.to_string(),
            "setting `method.anchors` is `odd`: expected `floor` or `even`"
        );
    }
}
