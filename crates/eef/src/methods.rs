//! The methods. One more is one file and one line in [`method`].

mod dart;
mod eef;
mod eef_adaptive;
mod eef_bandit;
mod eef_likelihood;
mod eef_self;
mod eef_tree;
mod eto;
mod nat;
mod rft;
mod sft;

use eef_select::AnchorSchedule;
use serde::{Deserialize, Serialize};

use crate::{Method, RunError, Whose};

pub use dart::DartProp2Diff;
pub use eef::{Eef, Simulated, Tie};
pub use eef_adaptive::EefAdaptive;
pub use eef_bandit::EefBandit;
pub use eef_likelihood::EefLikelihood;
pub use eef_self::EefSelf;
pub use eef_tree::EefTree;
pub use eto::Eto;
pub use nat::Nat;
pub use rft::Rft;
pub use sft::{SftAll, SftPos};

/// The names that [`method`] knows. `rft-x6` and `eef-m5` stand for any number in the place of
/// theirs.
pub const METHODS: [&str; 18] = [
    "sft-all",
    "sft-pos",
    "nat",
    "rft",
    "rft-x6",
    "rft-all",
    "dart-uniform",
    "dart-prop2diff",
    "eto",
    "eto-all",
    "eef",
    "eef-m5",
    "eef-all-experts",
    "eef-self",
    "eef-adaptive",
    "eef-bandit",
    "eef-likelihood",
    "eef-tree",
];

/// What the methods can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MethodOptions {
    /// EEF: simulated states per expert trajectory and round (the paper's `M`).
    pub n_simulations: usize,
    /// EEF: where they lie, `floor` (the paper's) or `even`.
    pub anchors: String,
    /// EEF: which of the solutions with the fewest expert actions is taught, `newest` or `likelihood`.
    pub tie: String,
    /// RFT: distinct positives per solved task and round (DART-Uniform with one); 0 takes all of
    /// them (plain rejection sampling).
    pub positives_per_task: usize,
    /// DART-Uniform: the same; DART-Prop2Diff: for the hardest task.
    pub dart_positives_per_task: usize,
    /// RFTxN: the temperature of each rollout, from the first again where there are more rollouts
    /// than temperatures.
    pub temperatures: Vec<f32>,
    /// EEF-self: the temperature of the trajectories that stand for an expert's.
    pub self_temperature: f32,
    /// EEF with adaptive anchors: states tried on a failed trajectory where nothing is known to
    /// succeed.
    pub n_blind: usize,
    /// EEF with a bandit: into how many parts the tasks are cut.
    pub n_bandit_parts: usize,
    /// EEF as a tree search: how much is tried of what is little known (UCT's constant, in units of
    /// reward).
    pub tree_exploration: f64,
}

impl Default for MethodOptions {
    fn default() -> Self {
        Self {
            n_simulations: 5,
            anchors: AnchorSchedule::Floor.name().to_owned(),
            tie: "newest".to_owned(),
            positives_per_task: 1,
            dart_positives_per_task: 4,
            // The first few are spread over the whole range, however many are used.
            temperatures: vec![0.65, 0.35, 0.95, 0.2, 0.8, 0.5],
            self_temperature: 1.2,
            n_blind: 2,
            n_bandit_parts: 16,
            tree_exploration: 0.5,
        }
    }
}

/// The method of that name.
///
/// # Errors
/// [`RunError::UnknownMethod`], or [`RunError::Setting`] for an option without sense.
pub fn method(name: &str, options: &MethodOptions) -> Result<Box<dyn Method>, RunError> {
    let n_per_task = options.positives_per_task;
    let n_dart = positive("method.dart_positives_per_task", options.dart_positives_per_task)?;
    let simulated =
        Simulated { n_simulations: options.n_simulations, schedule: schedule(options)? };
    let tie = tie(options)?;
    Ok(match name {
        "sft-all" => Box::new(SftAll),
        "sft-pos" => Box::new(SftPos),
        "nat" => Box::new(Nat),
        "rft" => Box::new(Rft::new(name, Vec::new(), n_per_task)),
        "rft-all" => Box::new(Rft::new(name, Vec::new(), 0)),
        "dart-uniform" => Box::new(Rft::new(name, Vec::new(), n_dart)),
        "dart-prop2diff" => Box::new(DartProp2Diff::new(n_dart)),
        "eto" => Box::new(Eto { all_experts: false }),
        "eto-all" => Box::new(Eto { all_experts: true }),
        "eef" => Box::new(Eef::new(name, simulated, Whose::Imitated).with_tie(tie)),
        "eef-all-experts" => Box::new(Eef::new(name, simulated, Whose::All).with_tie(tie)),
        "eef-adaptive" => Box::new(EefAdaptive { simulated, n_blind: options.n_blind }),
        "eef-likelihood" => Box::new(EefLikelihood { simulated }),
        "eef-self" => Box::new(EefSelf { simulated, temperature: self_temperature(options)? }),
        "eef-tree" => {
            let exploration = tree_exploration(options)?;
            Box::new(EefTree { simulated, exploration })
        }
        "eef-bandit" => {
            let n_parts = positive("method.n_bandit_parts", options.n_bandit_parts)?;
            Box::new(EefBandit { simulated, n_parts })
        }
        _ => {
            if let Some(n) = number(name, "rft-x") {
                let temperatures = temperatures(options)?;
                let temperatures = temperatures.iter().copied().cycle().take(n).collect();
                return Ok(Box::new(Rft::new(name, temperatures, n_per_task)));
            }
            if let Some(n_simulations) = number(name, "eef-m") {
                let simulated = Simulated { n_simulations, ..simulated };
                let eef = Eef::new(name, simulated, Whose::Imitated).with_tie(tie);
                return Ok(Box::new(eef));
            }
            let found = name.to_owned();
            return Err(RunError::UnknownMethod { found, expected: METHODS.to_vec() });
        }
    })
}

/// A method's name as the paper prints it, or as tables do; another name as it is.
pub fn display_name(method: &str) -> String {
    let known = match method {
        "sft-pos" => "SFT pos",
        "sft-all" => "SFT all",
        "nat" => "NAT",
        "rft" => "RFT",
        "rft-all" => "RFT, unbalanced",
        "dart-uniform" => "DART-Uniform",
        "dart-prop2diff" => "DART-Prop2Diff",
        "eto" => "ETO",
        "eto-all" => "ETO, all experts' trajectories",
        "eef" => "EEF",
        "eef-all-experts" => "EEF, all experts",
        "eef-self" => "EEF, own trajectories",
        "eef-adaptive" => "EEF, adaptive anchors",
        "eef-bandit" => "EEF, bandit over experts",
        "eef-likelihood" => "EEF, likeliest solution",
        "eef-tree" => "EEF, tree search",
        _ => "",
    };
    match (known, number(method, "rft-x"), number(method, "eef-m")) {
        ("", Some(n), _) => format!("RFTx{n}"),
        ("", None, Some(n)) => format!("EEF, M = {n}"),
        ("", None, None) => method.to_owned(),
        (known, _, _) => known.to_owned(),
    }
}

/// The number at the end of a name, from 1 and without a zero before it: a name stands for one
/// method alone.
fn number(name: &str, before: &str) -> Option<usize> {
    let digits = name.strip_prefix(before)?;
    digits.parse().ok().filter(|n: &usize| *n > 0 && n.to_string() == digits)
}

fn positive(field: &'static str, value: usize) -> Result<usize, RunError> {
    let setting = || RunError::Setting { field, found: value.to_string(), expected: "at least 1" };
    if value == 0 { Err(setting()) } else { Ok(value) }
}

fn schedule(options: &MethodOptions) -> Result<AnchorSchedule, RunError> {
    AnchorSchedule::from_name(&options.anchors).ok_or_else(|| RunError::Setting {
        field: "method.anchors",
        found: format!("`{}`", options.anchors),
        expected: "`floor` or `even`",
    })
}

fn tie(options: &MethodOptions) -> Result<Tie, RunError> {
    let known = Tie::ALL.into_iter().find(|(name, _)| *name == options.tie);
    known.map(|(_, tie)| tie).ok_or_else(|| RunError::Setting {
        field: "method.tie",
        found: format!("`{}`", options.tie),
        expected: "`newest` or `likelihood`",
    })
}

fn temperatures(options: &MethodOptions) -> Result<&[f32], RunError> {
    if options.temperatures.is_empty() || !options.temperatures.iter().copied().all(is_temperature)
    {
        return Err(RunError::Setting {
            field: "method.temperatures",
            found: format!("{:?}", options.temperatures),
            expected: "one or more numbers of 0 or more",
        });
    }
    Ok(&options.temperatures)
}

fn self_temperature(options: &MethodOptions) -> Result<f32, RunError> {
    let temperature = options.self_temperature;
    is_temperature(temperature).then_some(temperature).ok_or_else(|| RunError::Setting {
        field: "method.self_temperature",
        found: temperature.to_string(),
        expected: "a number of 0 or more",
    })
}

fn tree_exploration(options: &MethodOptions) -> Result<f64, RunError> {
    let constant = options.tree_exploration;
    let sound = constant.is_finite() && constant >= 0.0;
    sound.then_some(constant).ok_or_else(|| RunError::Setting {
        field: "method.tree_exploration",
        found: constant.to_string(),
        expected: "a number of 0 or more",
    })
}

fn is_temperature(temperature: f32) -> bool {
    temperature.is_finite() && temperature >= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_a_method() {
        for name in METHODS {
            assert_eq!(method(name, &MethodOptions::default()).unwrap().name(), name);
        }
        for name in ["rft-x1", "rft-x20", "eef-m1", "eef-m12"] {
            assert_eq!(method(name, &MethodOptions::default()).unwrap().name(), name);
        }
        assert_eq!(["rft-x20", "eef-m1", "ppo"].map(display_name), ["RFTx20", "EEF, M = 1", "ppo"]);
        assert!(METHODS.iter().all(|name| display_name(name) != *name));
        for name in ["rft-x0", "rft-x06", "rft-x", "eef-m-1", "eef-mm"] {
            assert!(method(name, &MethodOptions::default()).is_err(), "{name}");
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
        let options = MethodOptions { tie: "oldest".into(), ..MethodOptions::default() };
        let error = method("eef-m1", &options).err().unwrap();
        assert!(error.to_string().contains("`method.tie` is `oldest`"), "{error}");
    }
}
