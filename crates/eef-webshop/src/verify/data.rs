//! The data that recordings were made with.

use std::path::{Path, PathBuf};
use std::{fs, io};

use eef_core::Seed;

use crate::catalog::Catalog;
use crate::error::WebShopError;
use crate::goal::{Goal, goals_of};
use crate::prepared::{prices_of, read, records_of_list, records_of_map};
use crate::raw::{NounTable, Prices};

/// A folder of raw files, read when something is asked of it.
pub(super) struct Data<'a> {
    directory: &'a Path,
}

impl<'a> Data<'a> {
    pub(super) fn new(directory: &'a Path) -> Self {
        Self { directory }
    }

    /// The products at these prices, with the nouns of their titles.
    pub(super) fn catalog(
        &self,
        nouns: &NounTable,
        prices: &Prices,
    ) -> Result<Catalog, WebShopError> {
        let items = self.find("items_shuffle", ".json")?;
        let annotations = self.find("items_ins_v2", ".json")?;
        let items = records_of_list(&items, &read(&items)?)?;
        let annotations = records_of_map(&annotations, &read(&annotations)?)?;
        let (catalog, report) = Catalog::new(&items, &annotations, nouns, prices, Seed::new(0));
        if catalog.is_empty() {
            return Err(WebShopError::NoProducts { n_records: report.n_records });
        }
        Ok(catalog)
    }

    /// The nouns of the titles.
    pub(super) fn nouns(&self) -> Result<NounTable, WebShopError> {
        let path = self.find("title_nouns", ".json")?;
        records_of_map(&path, &read(&path)?)
    }

    /// The prices of AgentBoard's server.
    pub(super) fn agentboard_prices(&self) -> Result<Prices, WebShopError> {
        let path = self.find("agentboard_product_prices", ".json")?;
        prices_of(&path, &read(&path)?)
    }

    /// AgentBoard's goals, in their order.
    pub(super) fn agentboard_goals(&self) -> Result<Vec<Goal>, WebShopError> {
        let path = self.find("agentboard_style_goals", ".jsonl")?;
        goals_of(&path, &read(&path)?)
    }

    /// The prices of WebShop's own environment.
    pub(super) fn original_prices(&self) -> Result<Prices, WebShopError> {
        let path = self.find("original_product_prices", ".json")?;
        prices_of(&path, &read(&path)?)
    }

    /// The first file by name that begins and ends so.
    fn find(&self, begin: &'static str, end: &'static str) -> Result<PathBuf, WebShopError> {
        let failed =
            |source: io::Error| WebShopError::Read { path: self.directory.to_owned(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(begin) && name.ends_with(end) {
                found.push(self.directory.join(&*name));
            }
        }
        found.into_iter().min().ok_or_else(|| WebShopError::MissingData {
            directory: self.directory.to_owned(),
            expected: format!("{begin}*{end}"),
        })
    }
}
