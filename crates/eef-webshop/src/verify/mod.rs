//! Comparison with recordings of the original programs.
//!
//! The recordings are other people's work and not part of this crate; [`verify`] reads them where
//! they lie. What is compared is stated for each file in [`FILES`].
//!
//! ```no_run
//! for check in eef_webshop::verify::verify("data/webshop".as_ref(), "reference".as_ref())? {
//!     println!("{}: {} of {} differ", check.file, check.mismatches, check.cases);
//! }
//! # Ok::<(), eef_webshop::WebShopError>(())
//! ```

mod cases;
mod data;
mod episodes;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::WebShopError;
use crate::prepared::read;
use data::Data;

/// The recordings that can be compared, and what is.
pub const FILES: [(&str, &str); 6] = [
    (
        "reward_cases.jsonl",
        "reward, type factor, title score, and how many attributes and options are met",
    ),
    ("search_cases.jsonl", "the words of the query, products in their order, and scores"),
    ("fuzz_cases.jsonl", "token_set_ratio with difflib"),
    ("color_cases.jsonl", "the colour that an option's value is reduced to"),
    (
        "episodes.jsonl",
        "AgentBoard: observation, reward, end, progress rate; AgentLite: observation, after the \
         purchase too, and end and reward up to it (before it the reward is the progress)",
    ),
    (
        "episodes_original_text.jsonl",
        "text and text_rich pages, addresses, what can be clicked, reward, end",
    ),
];

/// How one file compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileCheck {
    /// Its name.
    pub file: &'static str,
    /// Cases compared: records, or the steps of episodes.
    pub cases: usize,
    /// Cases in which something differs.
    pub mismatches: usize,
    /// The first of these.
    pub first: Option<Mismatch>,
}

/// A case in which something differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// Which record, from 1, and which step.
    pub case: String,
    /// What differs.
    pub what: &'static str,
    /// As recorded.
    pub expected: Value,
    /// As it is here.
    pub found: Value,
}

/// Compares every file of [`FILES`] that a directory holds.
///
/// `data` holds WebShop's raw files: `items_shuffle*.json`, `items_ins_v2*.json`,
/// `title_nouns*.json`, and for episodes `agentboard_product_prices*.json`,
/// `agentboard_style_goals.jsonl` and `original_product_prices*.json`. Each is read where a
/// recording needs it.
///
/// # Errors
/// A file that cannot be read or understood; [`WebShopError::NothingToVerify`] where there is no
/// recording, or one without a case.
pub fn verify(data: &Path, reference: &Path) -> Result<Vec<FileCheck>, WebShopError> {
    let data = Data::new(data);
    let mut checks = Vec::new();
    for (file, _) in FILES {
        let path = reference.join(file);
        if !path.exists() {
            continue;
        }
        let mut tally = Tally::new(file);
        match file {
            "reward_cases.jsonl" => cases::rewards(&data, &path, &mut tally)?,
            "search_cases.jsonl" => cases::searches(&data, &path, &mut tally)?,
            "fuzz_cases.jsonl" => cases::ratios(&path, &mut tally)?,
            "color_cases.jsonl" => cases::colors(&path, &mut tally)?,
            "episodes.jsonl" => episodes::agents(&data, &path, &mut tally)?,
            _ => episodes::original(&data, &path, &mut tally)?,
        }
        if tally.check.cases == 0 {
            return Err(WebShopError::NothingToVerify { path });
        }
        checks.push(tally.check);
    }
    if checks.is_empty() {
        return Err(WebShopError::NothingToVerify { path: reference.to_owned() });
    }
    Ok(checks)
}

/// Counts the cases of a file.
struct Tally {
    check: FileCheck,
    /// Whether the case under way has differed already.
    differs: bool,
    case: String,
}

impl Tally {
    fn new(file: &'static str) -> Self {
        let check = FileCheck { file, cases: 0, mismatches: 0, first: None };
        Self { check, differs: false, case: String::new() }
    }

    /// Begins a case.
    fn case(&mut self, name: String) {
        self.check.cases += 1;
        self.differs = false;
        self.case = name;
    }

    /// Compares a value of the case; whether it is the same.
    fn same<T: PartialEq + Serialize>(
        &mut self,
        what: &'static str,
        found: &T,
        expected: &T,
    ) -> bool {
        let is_same = found == expected;
        self.expect(is_same, what, || (json!(found), json!(expected)));
        is_same
    }

    /// Counts the case as different unless `is_same`; `values` are what is found and expected.
    fn expect(
        &mut self,
        is_same: bool,
        what: &'static str,
        values: impl FnOnce() -> (Value, Value),
    ) {
        if is_same || self.differs {
            return;
        }
        self.differs = true;
        self.check.mismatches += 1;
        if self.check.first.is_none() {
            let (found, expected) = values();
            let case = self.case.clone();
            self.check.first = Some(Mismatch { case, what, expected, found });
        }
    }
}

/// The records of a file with one JSON value a line, with their numbers from 1.
fn records<T: DeserializeOwned>(path: &Path) -> Result<Vec<(usize, T)>, WebShopError> {
    let text = read(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let record = serde_json::from_str(line).map_err(|error| WebShopError::Record {
                path: path.to_owned(),
                record: (number + 1).to_string(),
                message: error.to_string(),
            })?;
            Ok((number + 1, record))
        })
        .collect()
}
