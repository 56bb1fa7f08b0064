//! The products of a shop.

use std::collections::BTreeMap;

use eef_core::Seed;

use crate::price::{parse_pricing, price_tag};
use crate::raw::{Annotations, Prices, RawItem};

/// A product, cleaned as the original engine cleans it.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Its id, which is also the button that opens its page.
    pub asin: String,
    /// The title; may be empty.
    pub title: String,
    /// The text of the description page.
    pub description: String,
    /// The lines of the features page.
    pub bullet_points: Vec<String>,
    /// The price as shown: `$35.0` or `$19.99 to $27.99`.
    pub price_tag: String,
    /// The price in dollars that a purchase is judged by: inside the range where there is one.
    pub price: f64,
    /// What can be chosen, in the order shown.
    pub options: Vec<ProductOption>,
    /// What it has, hidden from the agent's usual pages.
    pub attributes: Vec<String>,
    /// The department.
    pub category: String,
    /// The query it was collected under, lower case.
    pub query: String,
    /// The path in the shop's tree, parts separated by `›`.
    pub product_category: String,
}

/// Something that can be chosen on a product's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductOption {
    /// Its name, such as `color`.
    pub name: String,
    /// Its values: the buttons.
    pub values: Vec<String>,
}

impl Product {
    /// The option that a value belongs to; where several have it, the last.
    pub fn option_of(&self, value: &str) -> Option<&str> {
        let holds = |option: &&ProductOption| option.values.iter().any(|other| other == value);
        self.options.iter().rev().find(holds).map(|option| option.name.as_str())
    }

    /// The lower end of a range of prices, the price where there is no range, in dollars.
    pub(crate) fn first_price(&self) -> f64 {
        let first = self.price_tag.trim_start_matches('$').split(' ').next();
        first.and_then(|text| text.parse().ok()).unwrap_or(self.price)
    }
}

/// Why records were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Records read.
    pub n_records: usize,
    /// Records whose asin came before.
    pub n_repeated: usize,
    /// Records whose asin is `nan`, empty or longer than 10 characters.
    pub n_bad_asin: usize,
    /// The asins of records whose price is no number.
    pub bad_prices: Vec<String>,
}

/// Products in load order, found by asin.
///
/// Invariants: asins differ; every price is finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    products: Vec<Product>,
    by_asin: BTreeMap<String, usize>,
}

impl Catalog {
    /// Cleans raw items (specification: `load_products` of the original engine). Prices that are
    /// ranges are drawn from the seed, each by its own asin, unless `prices` pins them.
    pub fn new(
        items: &[RawItem],
        annotations: &Annotations,
        prices: &Prices,
        seed: Seed,
    ) -> (Self, LoadReport) {
        let mut report = LoadReport { n_records: items.len(), ..LoadReport::default() };
        let mut products = Vec::with_capacity(items.len());
        let mut by_asin = BTreeMap::new();
        for item in items {
            if item.asin.is_empty() || item.asin == "nan" || item.asin.chars().count() > 10 {
                report.n_bad_asin += 1;
            } else if by_asin.contains_key(&item.asin) {
                report.n_repeated += 1;
            } else if let Some(product) = clean(item, annotations, prices, seed) {
                by_asin.insert(item.asin.clone(), products.len());
                products.push(product);
            } else {
                report.bad_prices.push(item.asin.clone());
            }
        }
        (Self { products, by_asin }, report)
    }

    /// All products, in load order.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// The product with this id.
    pub fn get(&self, asin: &str) -> Option<&Product> {
        self.position(asin).map(|position| &self.products[position])
    }

    /// The place in [`Catalog::products`] of the product with this id.
    pub fn position(&self, asin: &str) -> Option<usize> {
        self.by_asin.get(asin).copied()
    }

    /// The price of every product, so that a range stays what it was drawn to be.
    pub fn prices(&self) -> Prices {
        self.products.iter().map(|product| (product.asin.clone(), product.price)).collect()
    }
}

fn clean(
    item: &RawItem,
    annotations: &Annotations,
    prices: &Prices,
    seed: Seed,
) -> Option<Product> {
    let amounts = parse_pricing(&item.pricing)?;
    let drawn = match amounts[..] {
        [low, high] => low + (high - low) * seed.derive(&item.asin, 0).rng().uniform(),
        _ => amounts[0],
    };
    let attributes = annotations
        .get(&item.asin)
        .map_or_else(|| vec!["DUMMY_ATTR".to_owned()], |annotation| annotation.attributes.clone());
    Some(Product {
        asin: item.asin.clone(),
        title: item.name.clone(),
        description: item.full_description.clone(),
        bullet_points: item.small_description.clone(),
        price_tag: price_tag(&amounts),
        price: prices.get(&item.asin).copied().filter(|price| price.is_finite()).unwrap_or(drawn),
        options: clean_options(item),
        attributes,
        category: item.category.clone(),
        query: item.query.to_lowercase().trim().to_owned(),
        product_category: item.product_category.clone(),
    })
}

fn clean_options(item: &RawItem) -> Vec<ProductOption> {
    let mut options: Vec<ProductOption> = Vec::new();
    for (name, values) in &item.customization_options.0 {
        let Some(values) = values else { continue };
        let name = name.to_lowercase();
        let clean = |value: &str| value.trim().replace('/', " | ").to_lowercase();
        let values = values.iter().map(|value| clean(&value.value)).collect();
        // Two names that differ in case only are one option: the later one's values, in the
        // earlier one's place, as in a Python dict.
        match options.iter_mut().find(|option| option.name == name) {
            Some(option) => option.values = values,
            None => options.push(ProductOption { name, values }),
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::RawOptions;

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

    #[test]
    fn products_are_cleaned_and_unusable_records_counted() {
        let items = [
            item("B1", "$5 - $9"),
            item("B1", "$1"),
            item("nan", "$1"),
            item("B2345678901", "$1"),
            item("B3", "soon"),
        ];
        let (catalog, report) =
            Catalog::new(&items, &Annotations::new(), &Prices::new(), Seed::new(1));
        assert_eq!(catalog.products().len(), 1);
        assert_eq!((report.n_repeated, report.n_bad_asin), (1, 2));
        assert_eq!(report.bad_prices, ["B3"]);
        let product = catalog.get("B1").unwrap();
        assert_eq!(product.price_tag, "$5.0 to $9.0");
        assert!((5.0..=9.0).contains(&product.price));
        assert_eq!(product.options[0].values, ["green"]);
        assert_eq!(product.option_of("green"), Some("size"));
        assert_eq!(product.attributes, ["DUMMY_ATTR"]);
        let (again, _) = Catalog::new(&items, &Annotations::new(), &catalog.prices(), Seed::new(2));
        assert_eq!(again, catalog);
    }
}
