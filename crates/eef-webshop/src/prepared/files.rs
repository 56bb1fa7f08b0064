//! The directory's files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use eef_core::Split;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::manifest::{FORMAT_VERSION, Manifest};
use super::writing::{Writing, failed};
use super::{Parts, PreparedData};
use crate::catalog::Catalog;
use crate::error::WebShopError;
use crate::goal::Goal;
use crate::search::SearchIndex;
use crate::shop::WebShop;

pub(super) const PRODUCTS: &str = "products.bin";
pub(super) const SEARCH: &str = "search.bin";
pub(super) const GOALS: &str = "goals.jsonl";
pub(super) const PRICES: &str = "prices.json";
pub(super) const NOTICE: &str = "NOTICE.md";
/// The files of [`PreparedData`].
const TEXTS: [&str; 6] = ["items.json", "attributes.json", PRICES, GOALS, "nouns.json", NOTICE];

/// The files of [`prepare`](super::prepare).
pub(super) const MAPPED: [&str; 5] = [PRODUCTS, SEARCH, GOALS, PRICES, NOTICE];

pub(super) fn count(goals: &[(Split, Goal)]) -> BTreeMap<Split, usize> {
    let n = |split| goals.iter().filter(|(other, _)| *other == split).count();
    Split::ALL.into_iter().map(|split| (split, n(split))).collect()
}

#[derive(Serialize, Deserialize)]
struct GoalRecord<G> {
    split: String,
    #[serde(flatten)]
    goal: G,
}

/// Opens either form of the directory.
pub(super) fn open(directory: &Path) -> Result<WebShop, WebShopError> {
    let manifest = Manifest::read(directory)?;
    if !manifest.files.contains_key(PRODUCTS) {
        return PreparedData::read(directory)?.into_shop();
    }
    let (path, goals) = manifest.text(directory, GOALS)?;
    let goals = read_goals(&path, &goals)?;
    let catalog = Catalog::open(&manifest.mapped(directory, PRODUCTS)?)?;
    let path = manifest.mapped(directory, SEARCH)?;
    let index = SearchIndex::open(&path)?;
    if index.n_documents() != catalog.len() {
        let message = "it has another number of products than the catalogue";
        return Err(WebShopError::Damaged { path, message });
    }
    WebShop::with_index(manifest.name, catalog, index, goals)
}

impl PreparedData {
    /// Writes the directory, only what differs. Tells whether anything changed.
    ///
    /// # Errors
    /// [`WebShopError::Write`].
    pub fn write(&self, directory: &Path) -> Result<bool, WebShopError> {
        let mut writing = Writing::new(directory, &TEXTS)?;
        for name in TEXTS {
            let bytes = self.file(name).map_err(|source| failed(&directory.join(name), source))?;
            writing.file(name, &bytes)?;
        }
        writing.finish(Manifest {
            format_version: FORMAT_VERSION,
            name: self.name.clone(),
            seed: self.seed,
            n_products: self.items.len(),
            n_goals: named(count(&self.goals)),
            settings: BTreeMap::new(),
            inputs: BTreeMap::new(),
            files: BTreeMap::new(),
            lengths: BTreeMap::new(),
        })
    }

    /// Reads a directory back.
    ///
    /// # Errors
    /// A file that is missing, changed, of another format or unreadable, named.
    pub fn read(directory: &Path) -> Result<Self, WebShopError> {
        let manifest = Manifest::read(directory)?;
        let text = |name: &str| manifest.text(directory, name);
        let (path, goals) = text(GOALS)?;
        let goals = read_goals(&path, &goals)?;
        let (path, items) = text("items.json")?;
        let items = parse(&path, &items, "a list of products")?;
        let (path, annotations) = text("attributes.json")?;
        let annotations = parse(&path, &annotations, "attributes by asin")?;
        let (path, prices) = text(PRICES)?;
        let prices = parse(&path, &prices, "dollars by asin")?;
        let (path, nouns) = text("nouns.json")?;
        let nouns = parse(&path, &nouns, "lists of nouns by asin")?;
        let (_, notice) = text(NOTICE)?;
        let (name, seed) = (manifest.name, manifest.seed);
        Self::new(Parts { name, seed, items, annotations, prices, goals, nouns, notice })
    }

    fn file(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        match name {
            "items.json" => {
                out.extend(b"[\n");
                for (number, item) in self.items.iter().enumerate() {
                    out.extend(if number == 0 { "" } else { ",\n" }.bytes());
                    serde_json::to_writer(&mut out, item)?;
                }
                out.extend(b"\n]\n");
            }
            "attributes.json" => out = map_bytes(&self.annotations)?,
            PRICES => out = map_bytes(&self.prices)?,
            "nouns.json" => out = map_bytes(&self.nouns)?,
            GOALS => out = goal_bytes(&self.goals)?,
            _ => out.extend(self.notice.bytes()),
        }
        Ok(out)
    }
}

pub(super) fn named(n_goals: BTreeMap<Split, usize>) -> BTreeMap<String, usize> {
    n_goals.into_iter().map(|(split, n)| (split.to_string(), n)).collect()
}

/// A goal a line.
pub(super) fn goal_bytes(goals: &[(Split, Goal)]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    for (split, goal) in goals {
        serde_json::to_writer(&mut out, &GoalRecord { split: split.to_string(), goal })?;
        out.push(b'\n');
    }
    Ok(out)
}

fn read_goals(path: &Path, text: &str) -> Result<Vec<(Split, Goal)>, WebShopError> {
    let mut goals = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let bad = |message: String| WebShopError::Record {
            path: path.to_owned(),
            record: (number + 1).to_string(),
            message,
        };
        let record: GoalRecord<Goal> =
            serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        let split =
            record.split.parse().map_err(|error: eef_core::UnknownSplit| bad(error.to_string()))?;
        goals.push((split, record.goal));
    }
    Ok(goals)
}

/// An object with one entry a line, so that differences can be read.
pub(super) fn map_bytes<T: Serialize>(map: &BTreeMap<String, T>) -> io::Result<Vec<u8>> {
    let mut out = b"{".to_vec();
    for (number, (key, value)) in map.iter().enumerate() {
        out.extend(if number == 0 { "\n" } else { ",\n" }.bytes());
        serde_json::to_writer(&mut out, key)?;
        out.extend(b": ");
        serde_json::to_writer(&mut out, value)?;
    }
    out.extend(b"\n}\n");
    Ok(out)
}

pub(crate) fn read(path: &Path) -> Result<String, WebShopError> {
    fs::read_to_string(path).map_err(|source| WebShopError::Read { path: path.to_owned(), source })
}

pub(super) fn parse<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    expected: &'static str,
) -> Result<T, WebShopError> {
    serde_json::from_str(text).map_err(|error| WebShopError::syntax(path, expected, &error))
}
