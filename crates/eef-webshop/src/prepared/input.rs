//! What data is prepared from, and how.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eef_core::Split;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::catalog::LoadReport;
use crate::error::WebShopError;
use crate::raw::Prices;

/// What to prepare from, and how.
#[derive(Clone, Debug)]
pub struct PrepareRequest {
    /// The environment's name in task ids.
    pub name: String,
    /// Where the products come from.
    pub products: ProductSource,
    /// `items_human_ins*.json`.
    pub human_goals: Option<PathBuf>,
    /// AgentBoard's `test.jsonl`: these goals are the test split then.
    pub agentboard_goals: Option<PathBuf>,
    /// `human_goals.json`, the texts of all human goals in the original's order: it gives the
    /// paper's ids to goals over a part of the products. Read for the paper's splits only.
    pub goal_order: Option<PathBuf>,
    /// Dollars by asin, to pin price ranges to.
    pub prices: Option<PathBuf>,
    /// Nouns of the titles by asin.
    pub nouns: Option<PathBuf>,
    /// A text about the data's source and licence, carried along.
    pub notice: Option<PathBuf>,
    /// Draws prices inside ranges, price limits and splits.
    pub seed: u64,
    /// How goals become training, validation and test tasks.
    pub split: SplitRule,
    /// Synthetic goals per product at most: products with many options have thousands.
    pub max_goals_per_product: usize,
}

/// Where products come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductSource {
    /// WebShop's own files.
    Files {
        /// `items_shuffle*.json`.
        items: PathBuf,
        /// `items_ins_v2*.json`.
        instructions: PathBuf,
    },
    /// So many made up ones, to measure with
    /// ([`BulkCatalog`](crate::synthetic::BulkCatalog)).
    Synthetic {
        /// How many.
        n_products: u64,
    },
}

/// How goals become training, validation and test tasks.
#[derive(Clone, Debug, PartialEq)]
pub enum SplitRule {
    /// Splits share neither goal products nor instructions.
    LeakFree {
        /// The share of goals for validation.
        validation_fraction: f64,
        /// The share of goals for the test, where AgentBoard's goals are not given.
        test_fraction: f64,
        /// Goals per split at most.
        max_goals_per_split: usize,
    },
    /// The paper's (its appendix A.4, as far as it says): by their ids, human goals 2251 to 2999
    /// are for validation and all others for training, and the test is the first 251 of
    /// AgentBoard's goals. **These are among the training goals**: what they measure is partly
    /// what was learned by heart.
    Paper {
        /// Whether training has every fourth of the goals only (2,835 of 11,338).
        every_fourth: bool,
    },
}

impl SplitRule {
    /// Its name, as in the manifest.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LeakFree { .. } => "leak-free",
            Self::Paper { every_fourth: false } => "paper",
            Self::Paper { every_fourth: true } => "paper-3k",
        }
    }
}

impl Default for SplitRule {
    fn default() -> Self {
        Self::LeakFree {
            validation_fraction: 0.15,
            test_fraction: 0.35,
            max_goals_per_split: 10_000,
        }
    }
}

impl PrepareRequest {
    /// The defaults for two files.
    pub fn new(items: impl Into<PathBuf>, instructions: impl Into<PathBuf>) -> Self {
        let (items, instructions) = (items.into(), instructions.into());
        Self::of(ProductSource::Files { items, instructions })
    }

    /// The defaults for so many made up products.
    pub fn synthetic(n_products: u64) -> Self {
        Self::of(ProductSource::Synthetic { n_products })
    }

    fn of(products: ProductSource) -> Self {
        Self {
            name: "webshop".to_owned(),
            products,
            human_goals: None,
            agentboard_goals: None,
            goal_order: None,
            prices: None,
            nouns: None,
            notice: None,
            seed: 233,
            split: SplitRule::default(),
            max_goals_per_product: 8,
        }
    }
}

/// What preparing found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrepareReport {
    /// What was loaded and left out.
    pub load: LoadReport,
    /// Pinned prices of products that are not there.
    pub n_unused_prices: usize,
    /// Noun lists of products that are not there.
    pub n_unused_nouns: usize,
    /// Goals that people wrote.
    pub n_human_goals: usize,
    /// Instructions that people wrote for products that are not there.
    pub n_human_without_product: usize,
    /// Goals made from attributes and options.
    pub n_synthetic_goals: usize,
    /// AgentBoard's goals.
    pub n_agentboard_goals: usize,
    /// AgentBoard's goals left out: the catalogue lacks what they ask for.
    pub n_without_product: usize,
    /// Goals left out of training and validation: they share a product or an instruction with one
    /// of AgentBoard's.
    pub n_shared: usize,
    /// Test goals that share a product or an instruction with a training goal: none but in the
    /// paper's splits.
    pub n_leaks: usize,
    /// Goals left out: their split had as many as it may have.
    pub n_over_limit: usize,
    /// Test goals of the paper's that are missing.
    pub n_missing_tests: usize,
    /// Goals kept, of each split.
    pub n_goals: BTreeMap<Split, usize>,
    /// Whether anything in the directory changed.
    pub changed: bool,
}

/// Dollars by asin, or an object that has them under `product_prices`.
pub(crate) fn prices_of(path: &Path, text: &str) -> Result<Prices, WebShopError> {
    let records: BTreeMap<String, &RawValue> = outer(path, text, "prices by asin")?;
    let pinned = records.get("product_prices").filter(|value| value.get().starts_with('{'));
    let prices: Prices = records_of_map(path, pinned.map_or(text, |pinned| pinned.get()))?;
    match prices.iter().find(|(_, price)| !price.is_finite() || **price <= 0.0) {
        None => Ok(prices),
        Some((asin, price)) => Err(WebShopError::Record {
            path: path.to_owned(),
            record: asin.clone(),
            message: format!("{price} is no price: expected dollars above 0"),
        }),
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
