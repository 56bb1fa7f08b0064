//! Comparisons with recordings of the original, which are other people's data and so not in the
//! repository. They are read from the folder that `EEF_SHARED` names; without it the tests say so
//! and pass, unless `EEF_REQUIRE` asks for `shared`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a skipped comparison and the counts are told to people")]

mod products;
mod recordings;
mod rewards;
mod search;

use std::fs;
use std::path::PathBuf;

use eef_core::Seed;
use eef_webshop::Catalog;
use eef_webshop::raw::{Annotations, NounTable, Prices, RawItem};
use serde::de::DeserializeOwned;

/// The folder with the data, if there is one.
fn shared() -> Option<PathBuf> {
    let shared = std::env::var_os("EEF_SHARED").map(PathBuf::from).filter(|path| path.is_dir());
    let required = std::env::var("EEF_REQUIRE").unwrap_or_default();
    if shared.is_none() {
        assert!(!required.contains("shared"), "EEF_SHARED names no folder, but EEF_REQUIRE asks");
        eprintln!("skipped: EEF_SHARED names no folder with the original's recordings");
    }
    shared
}

fn read(path: &str) -> Option<String> {
    let path = shared()?.join(path);
    Some(fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn json<T: DeserializeOwned>(path: &str) -> Option<T> {
    let text = read(path)?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// The records of a file with one JSON value a line; never none.
fn lines<T: DeserializeOwned>(path: &str) -> Option<Vec<T>> {
    let text = read(path)?;
    let records: Vec<T> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{path}: {error}")))
        .collect();
    assert!(!records.is_empty(), "{path} is empty");
    Some(records)
}

fn items() -> Option<Vec<RawItem>> {
    json("data/webshop/items_shuffle_1000.recovered.json")
}

fn annotations() -> Option<Annotations> {
    json("data/webshop/items_ins_v2_1000.json")
}

/// The 1,000 products with the prices given.
fn catalog(prices: &Prices) -> Option<Catalog> {
    let (catalog, report) =
        Catalog::new(&items()?, &annotations()?, &NounTable::new(), prices, Seed::new(0));
    assert_eq!((catalog.len(), report.n_records), (1000, 1000));
    Some(catalog)
}
