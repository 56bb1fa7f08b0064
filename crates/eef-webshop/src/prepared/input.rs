//! From the original's files to prepared data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eef_core::{Seed, Split};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::files::read;
use super::split::assign;
use super::{Parts, PreparedData};
use crate::catalog::{Catalog, LoadReport};
use crate::error::WebShopError;
use crate::goal::{human_goals, synthetic_goals};
use crate::raw::{HumanInstructions, NounTable, Prices};

const DEFAULT_NOTICE: &str = "# Notice\n\nThis folder holds data that was made from files of the \
    WebShop project (MIT licence), whose products were\ncollected from a public shop by its \
    authors. Keep their licence beside it and do not pass it on without.\n";

/// What to prepare from, and how.
#[derive(Clone, Debug)]
pub struct PrepareRequest {
    /// The environment's name in task ids.
    pub name: String,
    /// `items_shuffle*.json`.
    pub items: PathBuf,
    /// `items_ins_v2*.json`.
    pub instructions: PathBuf,
    /// `items_human_ins*.json`.
    pub human_goals: Option<PathBuf>,
    /// Dollars by asin, to pin price ranges to.
    pub prices: Option<PathBuf>,
    /// Nouns of the titles by asin.
    pub nouns: Option<PathBuf>,
    /// A text about the data's source and licence, carried along.
    pub notice: Option<PathBuf>,
    /// Draws prices inside ranges, price limits and splits.
    pub seed: u64,
    /// The share of goals for validation.
    pub validation_fraction: f64,
    /// The share of goals for the test.
    pub test_fraction: f64,
    /// Synthetic goals per product at most: products with many options have thousands.
    pub max_goals_per_product: usize,
    /// Goals per split at most.
    pub max_goals_per_split: usize,
}

impl PrepareRequest {
    /// The defaults for two files.
    pub fn new(items: impl Into<PathBuf>, instructions: impl Into<PathBuf>) -> Self {
        Self {
            name: "webshop".to_owned(),
            items: items.into(),
            instructions: instructions.into(),
            human_goals: None,
            prices: None,
            nouns: None,
            notice: None,
            seed: 233,
            validation_fraction: 0.15,
            test_fraction: 0.35,
            max_goals_per_product: 8,
            max_goals_per_split: usize::MAX,
        }
    }
}

/// What preparing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrepareReport {
    /// What was loaded and left out.
    pub load: LoadReport,
    /// Products kept.
    pub n_products: usize,
    /// Goals that people wrote.
    pub n_human_goals: usize,
    /// Goals made from attributes and options.
    pub n_synthetic_goals: usize,
    /// Goals kept, of each split.
    pub n_goals: BTreeMap<Split, usize>,
}

impl PreparedData {
    /// Prepares the original's files: cleans products, pins prices and price limits, builds goals
    /// and splits them without leaks. The same files and seed give the same data.
    ///
    /// # Errors
    /// A file that is missing or no JSON, or a record that cannot be read, by file and record.
    pub fn prepare(request: &PrepareRequest) -> Result<(Self, PrepareReport), WebShopError> {
        let mut inputs = BTreeMap::new();
        let mut open = |role: &str, path: &Path| {
            let text = read(path)?;
            inputs.insert(role.to_owned(), blake3::hash(text.as_bytes()).to_string());
            Ok::<_, WebShopError>(text)
        };
        let items = records_of_list(&request.items, &open("items", &request.items)?)?;
        let path = &request.instructions;
        let annotations = records_of_map(path, &open("instructions", path)?)?;
        let prices: Prices = match &request.prices {
            Some(path) => records_of_map(path, &open("prices", path)?)?,
            None => Prices::new(),
        };
        let nouns: NounTable = match &request.nouns {
            Some(path) => records_of_map(path, &open("nouns", path)?)?,
            None => NounTable::new(),
        };
        let instructions: HumanInstructions = match &request.human_goals {
            Some(path) => records_of_map(path, &open("human goals", path)?)?,
            None => HumanInstructions::new(),
        };
        let notice = match &request.notice {
            Some(path) => open("notice", path)?,
            None => DEFAULT_NOTICE.to_owned(),
        };

        let seed = Seed::new(request.seed);
        let (catalog, load) = Catalog::new(&items, &annotations, &prices, seed.derive("prices", 0));
        let limits = seed.derive("price limits", 0);
        let mut goals = human_goals(&catalog, &instructions, limits);
        let n_human_goals = goals.len();
        let max_per_product = request.max_goals_per_product;
        goals.extend(synthetic_goals(&catalog, &annotations, max_per_product, limits));
        let n_synthetic_goals = goals.len() - n_human_goals;
        let goals = assign(
            goals,
            request.validation_fraction,
            request.test_fraction,
            request.max_goals_per_split,
            seed.derive("splits", 0),
        );
        let mut n_goals = BTreeMap::new();
        for (split, _) in &goals {
            *n_goals.entry(*split).or_default() += 1;
        }
        let parts = Parts {
            name: request.name.clone(),
            seed: request.seed,
            items,
            annotations,
            prices: catalog.prices(),
            goals,
            nouns,
            notice,
        };
        let mut data = Self::new(parts)?;
        data.inputs = inputs;
        let n_products = data.items.len();
        let report = PrepareReport { load, n_products, n_human_goals, n_synthetic_goals, n_goals };
        Ok((data, report))
    }
}

pub(crate) fn records_of_list<T: DeserializeOwned>(
    path: &Path,
    text: &str,
) -> Result<Vec<T>, WebShopError> {
    let records: Vec<&RawValue> = outer(path, text, "a list of records")?;
    let read = |(number, record): (usize, &RawValue)| inner(path, (number + 1).to_string(), record);
    records.into_iter().enumerate().map(read).collect()
}

pub(crate) fn records_of_map<T: DeserializeOwned>(
    path: &Path,
    text: &str,
) -> Result<BTreeMap<String, T>, WebShopError> {
    let records: BTreeMap<String, &RawValue> = outer(path, text, "records by asin")?;
    let read = |(key, record): (String, &RawValue)| {
        let value = inner(path, key.clone(), record)?;
        Ok((key, value))
    };
    records.into_iter().map(read).collect()
}

fn outer<'a, T: Deserialize<'a>>(
    path: &Path,
    text: &'a str,
    expected: &'static str,
) -> Result<T, WebShopError> {
    serde_json::from_str(text).map_err(|error| WebShopError::syntax(path, expected, &error))
}

fn inner<T: DeserializeOwned>(
    path: &Path,
    record: String,
    value: &RawValue,
) -> Result<T, WebShopError> {
    serde_json::from_str(value.get()).map_err(|error| WebShopError::Record {
        path: path.to_owned(),
        record,
        message: error.to_string(),
    })
}
