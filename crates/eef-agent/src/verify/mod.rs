//! Comparison with outputs of other programs on the same model.
//!
//! The recordings are JSON files, written by transformers; [`verify`] reads those that are there.
//! What is compared, and within what, is stated for each file in [`FILES`].
//!
//! ```no_run
//! for check in eef_agent::verify::verify("model".as_ref(), "reference".as_ref(), "cpu")? {
//!     println!("{}: {} of {} differ", check.file, check.mismatches, check.cases);
//! }
//! # Ok::<(), eef_agent::AgentError>(())
//! ```

mod gradients;
mod greedy;
mod logits;
mod tokens;

use std::path::Path;

use eef_llama::{Llama, device};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{AgentError, model};

/// The recordings that can be compared, and what is.
pub const FILES: [(&str, &str); 4] = [
    (
        "tokens.json",
        "token ids of texts and of rendered conversations, and the text that the ids decode to",
    ),
    (
        "logits_top20.json",
        "at every position of a prompt the 20 likeliest tokens, in order where their logits are \
         1e-3 apart, and their logits within 2e-3; the log-probability of the next token within 2e-3",
    ),
    (
        "greedy.json",
        "greedy continuations; where the two likeliest tokens are less than 5e-3 apart either may \
         follow: such places are listed, and comparison goes on after the recorded one",
    ),
    (
        "sft_grads.json",
        "the mean loss of a sequence within 1e-4, the norm of each parameter's gradient and of all \
         within 1e-3 of itself",
    ),
];

/// How one file compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileCheck {
    /// Its name.
    pub file: &'static str,
    /// Cases compared.
    pub cases: usize,
    /// Cases in which something differs by more than it may.
    pub mismatches: usize,
    /// What differs most, or first where differences have no size.
    pub worst: Option<Difference>,
    /// Places where a greedy continuation could go either way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near_ties: Vec<NearTie>,
}

/// A difference between what was recorded and what is computed here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Which case.
    pub case: String,
    /// What differs.
    pub what: String,
    /// As recorded.
    pub expected: Value,
    /// As it is here.
    pub found: Value,
    /// By how much, where it has a size: absolute, or relative for gradients.
    pub difference: Option<f64>,
}

/// A place where the two likeliest tokens are all but equally likely, and the other one was chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NearTie {
    /// Which case, from 1.
    pub case: usize,
    /// Which token of the continuation, from 0.
    pub position: usize,
    /// The recorded difference of the two logits.
    pub gap: f64,
    /// The recorded token.
    pub expected: u32,
    /// The token chosen here.
    pub found: u32,
}

/// Compares every file of [`FILES`] that a directory holds with what the model of another one does
/// on a device such as `cpu`.
///
/// # Errors
/// [`AgentError::Reference`] for a file that cannot be read or understood, or has no case, and
/// where there is none at all; the model or its tokenizer cannot be read.
pub fn verify(
    directory: &Path,
    reference: &Path,
    device_name: &str,
) -> Result<Vec<FileCheck>, AgentError> {
    for folder in [directory, reference] {
        if !folder.is_dir() {
            return Err(refuse(folder, "there is no such folder".to_owned()));
        }
    }
    let files = FILES.map(|(file, _)| file);
    let present: Vec<_> = files.into_iter().filter(|file| reference.join(file).exists()).collect();
    if present.is_empty() {
        let expected = files.join(", ");
        return Err(refuse(reference, format!("it holds no recording: expected {expected}")));
    }
    let encoder = model::open_encoder(directory)?;
    let llama = Llama::load(directory, &device(device_name)?)?;
    let mut checks = Vec::new();
    for file in present {
        let path = reference.join(file);
        let mut tally = Tally::new(file);
        match file {
            "tokens.json" => tokens::compare(&encoder, directory, &path, &mut tally)?,
            "logits_top20.json" => logits::compare(&llama, &path, &mut tally)?,
            "greedy.json" => greedy::compare(&llama, &path, &mut tally)?,
            _ => gradients::compare(&llama, &path, &mut tally)?,
        }
        if tally.check.cases == 0 {
            return Err(refuse(&path, "it has no case to compare".to_owned()));
        }
        checks.push(tally.check);
    }
    Ok(checks)
}

fn refuse(path: &Path, message: String) -> AgentError {
    AgentError::Reference { path: path.to_owned(), message }
}

/// A recording.
fn read<T: DeserializeOwned>(path: &Path) -> Result<T, AgentError> {
    let text = std::fs::read(path).map_err(|error| refuse(path, error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| refuse(path, error.to_string()))
}

/// Counts the cases of a file.
struct Tally {
    check: FileCheck,
    case: String,
    /// Whether the case under way differs already.
    differs: bool,
    /// The shown difference, as a share of what it may be.
    worst_share: f64,
}

impl Tally {
    fn new(file: &'static str) -> Self {
        let near_ties = Vec::new();
        let check = FileCheck { file, cases: 0, mismatches: 0, worst: None, near_ties };
        Self { check, case: String::new(), differs: false, worst_share: 0.0 }
    }

    /// Begins a case.
    fn case(&mut self, name: String) {
        self.check.cases += 1;
        self.case = name;
        self.differs = false;
    }

    fn mismatch(&mut self) {
        self.check.mismatches += usize::from(!self.differs);
        self.differs = true;
    }

    /// Compares values without a size. The first difference is the one that is shown.
    fn same<T: PartialEq + Serialize>(&mut self, what: &str, found: &T, expected: &T) {
        if found == expected {
            return;
        }
        self.mismatch();
        if self.check.worst.as_ref().is_none_or(|worst| worst.difference.is_some()) {
            self.check.worst = Some(Difference {
                case: self.case.clone(),
                what: what.to_owned(),
                expected: serde_json::json!(expected),
                found: serde_json::json!(found),
                difference: None,
            });
        }
    }

    /// Compares numbers: `difference` is their distance, and `most` what it may be. The distance
    /// that is the largest share of its bound is shown, within it or not, unless something without
    /// a size differs.
    fn near(&mut self, what: &str, [found, expected]: [f64; 2], difference: f64, most: f64) {
        // Not a number is as far as can be.
        let difference = if difference.is_nan() { f64::INFINITY } else { difference };
        if difference > most {
            self.mismatch();
        }
        let is_worse = match &self.check.worst {
            None => true,
            Some(worst) => worst.difference.is_some() && difference / most > self.worst_share,
        };
        if is_worse {
            self.worst_share = difference / most;
            self.check.worst = Some(Difference {
                case: self.case.clone(),
                what: what.to_owned(),
                expected: serde_json::json!(expected),
                found: serde_json::json!(found),
                difference: Some(difference),
            });
        }
    }
}
