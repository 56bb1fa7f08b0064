//! From raw records to products.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use eef_core::Seed;

use super::{Product, ProductOption};
use crate::price::{parse_pricing, price_tag};
use crate::raw::RawItem;

/// The most characters that an asin has.
const MAX_ASIN: usize = 10;
/// How many records of each kind a report names.
const MAX_EXAMPLES: usize = 3;

/// What was read, and what was left out and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Records read.
    pub n_records: usize,
    /// Products kept.
    pub n_products: usize,
    /// Records left out, by why.
    pub skipped: BTreeMap<Reason, Skipped>,
}

impl LoadReport {
    /// How many records were left out for a reason.
    pub fn n_skipped(&self, reason: Reason) -> usize {
        self.skipped.get(&reason).map_or(0, |skipped| skipped.n_records)
    }

    /// Counts the record that was read last as left out.
    pub(crate) fn skip(&mut self, reason: Reason, what: impl fmt::Display) {
        let record = self.n_records;
        let skipped = self.skipped.entry(reason).or_default();
        skipped.n_records += 1;
        if skipped.examples.len() < MAX_EXAMPLES {
            skipped.examples.push(format!("record {record}: {what}"));
        }
    }
}

/// Why a record was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is JSON, but no product: a field is missing or of another type.
    NoProduct,
    /// Its asin is `nan`, empty or longer than 10 characters.
    BadAsin,
    /// Its asin came before; the first one counts.
    RepeatedAsin,
    /// Its price is no amount of dollars.
    BadPrice,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoProduct => "a field is missing or of another type",
            Self::BadAsin => "the asin is no product number",
            Self::RepeatedAsin => "the asin came before",
            Self::BadPrice => "the price is no amount of dollars",
        })
    }
}

/// Records left out for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub n_records: usize,
    /// The first of them: their numbers from 1, and what is wrong.
    pub examples: Vec<String>,
}

/// What other files say about a product.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extras<'a> {
    pub(crate) attributes: Option<&'a [String]>,
    pub(crate) nouns: Option<&'a [String]>,
    /// Dollars.
    pub(crate) price: Option<f64>,
}

/// Cleans one record after the other.
pub(crate) struct Cleaner {
    seed: Seed,
    seen: BTreeSet<String>,
    report: LoadReport,
}

impl Cleaner {
    /// Draws prices inside ranges from the seed.
    pub(crate) fn new(seed: Seed) -> Self {
        Self { seed, seen: BTreeSet::new(), report: LoadReport::default() }
    }

    /// Counts a record that could not be read as left out.
    pub(crate) fn skip_unreadable(&mut self, message: impl fmt::Display) {
        self.report.n_records += 1;
        self.report.skip(Reason::NoProduct, message);
    }

    /// Hands the product on, or counts its record as left out.
    pub(crate) fn clean(
        &mut self,
        item: &RawItem,
        extras: &Extras<'_>,
        hand_on: impl FnOnce(&Product<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.report.n_records += 1;
        let asin = item.asin.as_str();
        let is_bad = asin.is_empty() || asin == "nan" || asin.contains('\0');
        if is_bad || asin.chars().count() > MAX_ASIN {
            self.report.skip(Reason::BadAsin, format_args!("`{}`", asin.escape_debug()));
            return Ok(());
        }
        if self.seen.contains(asin) {
            self.report.skip(Reason::RepeatedAsin, asin);
            return Ok(());
        }
        let Some(amounts) = parse_pricing(&item.pricing) else {
            self.report.skip(Reason::BadPrice, format_args!("{asin}: `{}`", item.pricing));
            return Ok(());
        };
        self.seen.insert(asin.to_owned());
        self.report.n_products += 1;
        let drawn = match amounts[..] {
            [low, high] => low + (high - low) * self.seed.derive(asin, 0).rng().uniform(),
            _ => amounts[0],
        };
        let price_tag = price_tag(&amounts);
        let query = item.query.to_lowercase();
        let options = options(item);
        let texts = |list: &'_ [String]| -> Vec<String> { list.to_vec() };
        let attributes = extras.attributes.map_or_else(|| vec!["DUMMY_ATTR".to_owned()], texts);
        let product = Product {
            asin,
            title: &item.name,
            price_tag: &price_tag,
            price: extras.price.filter(|price| price.is_finite()).unwrap_or(drawn),
            description: &item.full_description,
            bullet_points: borrowed(&item.small_description),
            options: options
                .iter()
                .map(|(name, values)| ProductOption { name, values: borrowed(values) })
                .collect(),
            attributes: borrowed(&attributes),
            category: &item.category,
            query: query.trim(),
            product_category: &item.product_category,
            nouns: extras.nouns.map(borrowed),
        };
        hand_on(&product)
    }

    pub(crate) fn into_report(self) -> LoadReport {
        self.report
    }
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn options(item: &RawItem) -> Vec<(String, Vec<String>)> {
    let mut options: Vec<(String, Vec<String>)> = Vec::new();
    for (name, values) in &item.customization_options.0 {
        let Some(values) = values else { continue };
        let name = name.to_lowercase();
        let clean = |value: &str| value.trim().replace('/', " | ").to_lowercase();
        let values = values.iter().map(|value| clean(&value.value)).collect();
        // Two names that differ in case only are one option: the later one's values, in the
        // earlier one's place, as in a Python dict.
        match options.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = values,
            None => options.push((name, values)),
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::raw::{Annotations, NounTable, Prices, RawOptions};

    fn item(asin: &str, pricing: &str) -> RawItem {
        RawItem {
            asin: asin.to_owned(),
            name: "Mug".to_owned(),
            pricing: pricing.to_owned(),
            customization_options: RawOptions::from_texts([
                ("Color", vec!["Red/Blue ".to_owned()]),
                ("COLOR", vec!["Green".to_owned()]),
                ("Size", vec!["S".to_owned(), "green".to_owned()]),
            ]),
            ..RawItem::default()
        }
    }

    fn catalog(items: &[RawItem], prices: &Prices, seed: u64) -> (Catalog, LoadReport) {
        Catalog::new(items, &Annotations::new(), &NounTable::new(), prices, Seed::new(seed))
    }

    #[test]
    fn products_are_cleaned_and_unusable_records_counted() {
        let items = [
            item("B1", "$5 - $9"),
            item("B1", "$1"),
            item("nan", "$1"),
            item("B2345678901", "$1"),
            item("B3", "soon"),
        ];
        let (catalog, report) = self::catalog(&items, &Prices::new(), 1);
        assert_eq!((catalog.len(), report.n_products, report.n_records), (1, 1, 5));
        assert_eq!(report.n_skipped(Reason::RepeatedAsin), 1);
        assert_eq!(report.n_skipped(Reason::NoProduct), 0);
        let of = |reason| &report.skipped[&reason].examples;
        assert_eq!(of(Reason::BadAsin), &["record 3: `nan`", "record 4: `B2345678901`"]);
        assert_eq!(of(Reason::BadPrice), &["record 5: B3: `soon`"]);
        let product = catalog.get("B1").unwrap();
        assert_eq!(product.price_tag, "$5.0 to $9.0");
        assert!((5.0..=9.0).contains(&product.price));
        assert_eq!(product.options[0].values, ["green"]);
        assert_eq!(product.option_of("green"), Some("size"));
        assert_eq!(product.attributes, ["DUMMY_ATTR"]);
        let (again, _) = self::catalog(&items, &catalog.prices(), 2);
        assert_eq!(again, catalog);
    }

    #[test]
    fn products_are_found_by_asin_whatever_their_order() {
        let asins = ["B3", "A9", "B0LONGER99", "é", "B"];
        let items = asins.map(|asin| item(asin, ""));
        let (catalog, _) = self::catalog(&items, &Prices::new(), 1);
        for (place, asin) in asins.iter().enumerate() {
            assert_eq!(catalog.position(asin), Some(place), "{asin}");
            assert_eq!(catalog.listing(place).asin, *asin);
            assert_eq!(catalog.product(place).price_tag, "$100.0");
        }
        for unknown in ["", "B4", "B0LONGER9", "B0LONGER999", "B\0"] {
            assert_eq!(catalog.position(unknown), None, "{unknown}");
        }
        assert_eq!(catalog.product(5), Product::default());
    }
}
