//! The directory that the program runs on: a shop's data with everything random pinned.
//!
//! | file | what it holds |
//! |---|---|
//! | `manifest.json` | format version, name, seed, settings, counts, BLAKE3 hashes of inputs and files |
//! | `goals.jsonl` | one [`Goal`] a line, with its `split`; tasks are numbered in this order |
//! | `NOTICE.md` | where the data comes from and its licence |
//!
//! [`prepare`] writes the products in the form that a shop looks them up in:
//!
//! | file | what it holds |
//! |---|---|
//! | `products.bin` | the products, with prices, attributes and nouns; mapped, not read |
//! | `search.bin` | the search index; mapped as well |
//! | `prices.json` | dollars by asin of those whose price was drawn from a range |
//!
//! [`PreparedData`] holds them as text, for small shops that are kept under version control:
//!
//! | file | what it holds |
//! |---|---|
//! | `items.json` | the products in WebShop's raw schema ([`RawItem`]) |
//! | `attributes.json` | attributes and synthetic instructions by asin ([`Annotations`]) |
//! | `prices.json` | dollars by asin: ranges are drawn once and stay |
//! | `nouns.json` | nouns of the titles by asin; `{}` where they are estimated |
//!
//! [`WebShop::open`] opens either.

mod files;
mod hashing;
mod input;
mod manifest;
mod pipeline;
mod split;
mod stream;
mod writing;

use std::path::Path;
use std::sync::Arc;

use eef_core::{Seed, Split};

pub(crate) use files::read;
pub use input::{PrepareReport, PrepareRequest, ProductSource, SplitRule};
pub(crate) use input::{prices_of, records_of_list, records_of_map};
pub use manifest::FORMAT_VERSION;
pub use pipeline::{PrepareProgress, prepare};
pub(crate) use split::n_leaks;

use self::manifest::Manifest;
use crate::catalog::{Catalog, LoadReport};
use crate::error::WebShopError;
use crate::goal::Goal;
use crate::raw::{Annotations, NounTable, Prices, RawItem};
use crate::shop::WebShop;

/// A small shop's data, checked.
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
        let (catalog, report) = catalog(&items, &annotations, &nouns, &prices, seed);
        if catalog.is_empty() {
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
        Ok(Self { name, seed, items, annotations, prices, goals, nouns, notice })
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
        let (catalog, _) =
            catalog(&self.items, &self.annotations, &self.nouns, &self.prices, self.seed);
        WebShop::new(self.name, catalog, self.goals)
    }
}

/// Prices that are not pinned are drawn as [`prepare`] draws them.
fn catalog(
    items: &[RawItem],
    annotations: &Annotations,
    nouns: &NounTable,
    prices: &Prices,
    seed: u64,
) -> (Catalog, LoadReport) {
    Catalog::new(items, annotations, nouns, prices, price_seed(seed))
}

fn price_seed(seed: u64) -> Seed {
    Seed::new(seed).derive("prices", 0)
}

impl WebShop {
    /// Opens a prepared directory. Files up to 64 MiB are checked to be the ones that were
    /// written; larger ones are mapped and checked for their length and form, so that a million
    /// products open at once ([`WebShop::check_files`] reads all of them).
    ///
    /// # Errors
    /// A file that is missing, changed or of another format, named.
    pub fn open(directory: &Path) -> Result<Arc<Self>, WebShopError> {
        files::open(directory).map(Arc::new)
    }

    /// A digest of a prepared directory: of its manifest, which has the hashes of all files. Found at
    /// once, however large they are.
    ///
    /// # Errors
    /// No manifest, or one of another format.
    pub fn digest(directory: &Path) -> Result<String, WebShopError> {
        Manifest::read(directory)?;
        let path = directory.join(manifest::MANIFEST);
        hashing::hash_of(&path).map_err(|source| WebShopError::Read { path, source })
    }

    /// Compares every byte of a prepared directory with its manifest, which [`WebShop::open`] does
    /// for small files only; tells of each file that it is as it was written.
    ///
    /// # Errors
    /// A file that is missing, changed or of another format, named.
    pub fn check_files(directory: &Path, done: &mut dyn FnMut(&str)) -> Result<(), WebShopError> {
        Manifest::read(directory)?.check_all(directory, done)?;
        Self::open(directory).map(|_| ())
    }
}
