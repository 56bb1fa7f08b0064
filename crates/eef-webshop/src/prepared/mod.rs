//! The directory that the program runs on: a shop's data with everything random pinned.
//!
//! | file | what it holds |
//! |---|---|
//! | `manifest.json` | format version, name, seed, counts, BLAKE3 hashes of the inputs and files |
//! | `items.json` | the products in WebShop's raw schema ([`RawItem`]) |
//! | `attributes.json` | attributes and synthetic instructions by asin ([`Annotations`]) |
//! | `prices.json` | dollars by asin: ranges are drawn once and stay |
//! | `goals.jsonl` | one [`Goal`] a line, with its `split`; tasks are numbered in this order |
//! | `nouns.json` | nouns of the titles by asin; `{}` where they are estimated |
//! | `NOTICE.md` | where the data comes from and its licence |

mod files;
mod input;
mod split;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use eef_core::{Seed, Split};

pub use files::FORMAT_VERSION;
pub(crate) use files::read;
pub use input::{PrepareReport, PrepareRequest};
pub(crate) use input::{records_of_list, records_of_map};

use crate::catalog::Catalog;
use crate::error::WebShopError;
use crate::goal::Goal;
use crate::raw::{Annotations, NounTable, Prices, RawItem};
use crate::shop::WebShop;

/// A shop's data, checked.
///
/// Invariants: every goal can be judged; splits share no goal product and no instruction; every
/// product has a price.
#[derive(Clone, Debug, PartialEq)]
pub struct PreparedData {
    name: String,
    seed: u64,
    items: Vec<RawItem>,
    annotations: Annotations,
    prices: Prices,
    goals: Vec<(Split, Goal)>,
    nouns: NounTable,
    notice: String,
    inputs: BTreeMap<String, String>,
}

/// What a [`PreparedData`] is made of.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The environment's name in task ids; names of files, hosts or dates do not belong here.
    pub name: String,
    /// The seed that everything was drawn from.
    pub seed: u64,
    /// The products.
    pub items: Vec<RawItem>,
    /// Their attributes.
    pub annotations: Annotations,
    /// Prices to pin; ranges that are missing are drawn from the seed.
    pub prices: Prices,
    /// The goals, in the order of their tasks.
    pub goals: Vec<(Split, Goal)>,
    /// Nouns of the titles; may be empty.
    pub nouns: NounTable,
    /// Where the data comes from and its licence.
    pub notice: String,
}

impl PreparedData {
    /// Checks and joins the parts. Records that the catalogue skips are left out.
    ///
    /// # Errors
    /// [`WebShopError::NoProducts`], a goal that cannot be judged, or [`WebShopError::Leak`].
    pub fn new(parts: Parts) -> Result<Self, WebShopError> {
        let Parts { name, seed, mut items, mut annotations, prices, goals, mut nouns, notice } =
            parts;
        let (catalog, report) =
            Catalog::new(&items, &annotations, &prices, Seed::new(seed).derive("prices", 0));
        if catalog.products().is_empty() {
            return Err(WebShopError::NoProducts { n_records: report.n_records });
        }
        for (number, (_, goal)) in goals.iter().enumerate() {
            goal.check(number, &catalog)?;
        }
        split::check_disjoint(&goals)?;
        let mut seen = std::collections::BTreeSet::new();
        items.retain(|item| {
            catalog.position(&item.asin).is_some() && seen.insert(item.asin.clone())
        });
        annotations.retain(|asin, _| catalog.position(asin).is_some());
        nouns.retain(|asin, _| catalog.position(asin).is_some());
        let prices = catalog.prices();
        let inputs = BTreeMap::new();
        Ok(Self { name, seed, items, annotations, prices, goals, nouns, notice, inputs })
    }

    /// The goals with their splits, in the order of their tasks.
    pub fn goals(&self) -> &[(Split, Goal)] {
        &self.goals
    }

    /// The products.
    pub fn items(&self) -> &[RawItem] {
        &self.items
    }

    /// Opens the shop.
    ///
    /// # Errors
    /// None that [`PreparedData::new`] has not found already.
    pub fn into_shop(self) -> Result<WebShop, WebShopError> {
        let seed = Seed::new(self.seed).derive("prices", 0);
        let (catalog, _) = Catalog::new(&self.items, &self.annotations, &self.prices, seed);
        WebShop::new(self.name, catalog, self.goals, self.nouns)
    }
}

impl WebShop {
    /// Opens a prepared directory, checking that its files are the ones that were written.
    ///
    /// # Errors
    /// A file that is missing, changed or of another format, named.
    pub fn open(directory: &Path) -> Result<Arc<Self>, WebShopError> {
        PreparedData::read(directory)?.into_shop().map(Arc::new)
    }
}
