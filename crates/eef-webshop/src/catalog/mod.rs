//! The products of a shop.
//!
//! A catalogue is a run of bytes, in memory or in a mapped file of the same form, so that a million
//! products open at once and take no memory until they are looked at. A [`Product`] borrows its
//! texts from there.
//!
//! The bytes: a record per product ([`Product`], as postcard writes it), then where each ends
//! (64-bit), the places of the products in the order of their asins (32-bit), the asins in that
//! order, filled up with zeros to one width, and [`TRAILER`] bytes that say where these begin.

mod clean;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;

use eef_core::Seed;
use serde::{Deserialize, Serialize};

pub(crate) use clean::{Cleaner, Extras};
pub use clean::{LoadReport, Reason, Skipped};
pub(crate) use writer::CatalogWriter;

use crate::bytes::{Bytes, Numbers, long};
use crate::error::WebShopError;
use crate::raw::{Annotations, NounTable, Prices, RawItem};

/// A product, cleaned as the original engine cleans it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Product<'a> {
    /// Its id, which is also the button that opens its page.
    pub asin: &'a str,
    /// The title; may be empty.
    pub title: &'a str,
    /// The price as shown: `$35.0` or `$19.99 to $27.99`.
    pub price_tag: &'a str,
    /// The price in dollars that a purchase is judged by: inside the range where there is one.
    pub price: f64,
    /// The text of the description page.
    pub description: &'a str,
    /// The lines of the features page.
    #[serde(borrow)]
    pub bullet_points: Vec<&'a str>,
    /// What can be chosen, in the order shown.
    #[serde(borrow)]
    pub options: Vec<ProductOption<'a>>,
    /// What it has, hidden from the agent's usual pages.
    #[serde(borrow)]
    pub attributes: Vec<&'a str>,
    /// The department.
    pub category: &'a str,
    /// The query it was collected under, lower case.
    pub query: &'a str,
    /// The path in the shop's tree, parts separated by `›`.
    pub product_category: &'a str,
    /// The nouns of its title, where a table of them was given.
    #[serde(borrow)]
    pub nouns: Option<Vec<&'a str>>,
}

/// Something that can be chosen on a product's page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductOption<'a> {
    /// Its name, such as `color`.
    pub name: &'a str,
    /// Its values: the buttons.
    #[serde(borrow)]
    pub values: Vec<&'a str>,
}

/// What a page of results shows of a product: the first fields of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Listing<'a> {
    /// As in [`Product::asin`].
    pub asin: &'a str,
    /// As in [`Product::title`].
    pub title: &'a str,
    /// As in [`Product::price_tag`].
    pub price_tag: &'a str,
}

impl Product<'_> {
    /// The option that a value belongs to; where several have it, the last.
    pub fn option_of(&self, value: &str) -> Option<&str> {
        let holds = |option: &&ProductOption<'_>| option.values.contains(&value);
        self.options.iter().rev().find(holds).map(|option| option.name)
    }

    /// The lower end of a range of prices, the price where there is no range, in dollars.
    pub(crate) fn first_price(&self) -> f64 {
        let first = self.price_tag.trim_start_matches('$').split(' ').next();
        first.and_then(|text| text.parse().ok()).unwrap_or(self.price)
    }
}

/// How many bytes end a catalogue: five 64-bit numbers and [`MAGIC`].
const TRAILER: usize = 48;
/// What a catalogue ends with: what it is, and the version of its form.
const MAGIC: [u8; 8] = *b"EEFPROD1";

/// Products in load order, found by asin.
///
/// Asins differ and every price is finite. Cloned in constant time.
#[derive(Clone, Debug)]
pub struct Catalog {
    bytes: Bytes,
    n_products: usize,
    /// Where each part begins: ends of the records, places by asin, asins.
    ends_at: usize,
    places_at: usize,
    asins_at: usize,
    /// Bytes of the longest asin.
    width: usize,
}

impl PartialEq for Catalog {
    fn eq(&self, other: &Self) -> bool {
        *self.bytes == *other.bytes
    }
}

impl Catalog {
    /// Cleans raw items (specification: `load_products` of the original engine). Prices that are
    /// ranges are drawn from the seed, each by its own asin, unless `prices` pins them. `nouns`
    /// may be empty: they are estimated then.
    pub fn new(
        items: &[RawItem],
        annotations: &Annotations,
        nouns: &NounTable,
        prices: &Prices,
        seed: Seed,
    ) -> (Self, LoadReport) {
        let mut cleaner = Cleaner::new(seed);
        let mut writer = CatalogWriter::new(Vec::new());
        for item in items {
            let extras = Extras {
                attributes: annotations.get(&item.asin).map(|a| a.attributes.as_slice()),
                nouns: nouns.get(&item.asin).map(Vec::as_slice),
                price: prices.get(&item.asin).copied(),
            };
            // Writing to memory does not fail.
            let _ = cleaner.clean(item, &extras, |product| writer.push(product));
        }
        let bytes = writer.finish().map(|(bytes, _)| bytes).unwrap_or_default();
        let catalog = Self::read(bytes.into()).unwrap_or_else(|_| Self::empty());
        (catalog, cleaner.into_report())
    }

    /// Maps the file of a catalogue that [`PreparedData`](crate::PreparedData) or
    /// [`prepare`](crate::prepare) wrote.
    ///
    /// # Errors
    /// [`WebShopError::Read`], or [`WebShopError::Damaged`] where the file is no catalogue or cut
    /// off. What the records hold is not read: one that is damaged is blank.
    pub fn open(path: &Path) -> Result<Self, WebShopError> {
        let bytes = Bytes::map(path)
            .map_err(|source| WebShopError::Read { path: path.to_owned(), source })?;
        Self::read(bytes)
            .map_err(|message| WebShopError::Damaged { path: path.to_owned(), message })
    }

    fn empty() -> Self {
        let bytes = Bytes::from(Vec::new());
        Self { bytes, n_products: 0, ends_at: 0, places_at: 0, asins_at: 0, width: 0 }
    }

    fn read(bytes: Bytes) -> Result<Self, &'static str> {
        let (before, trailer) = bytes.split_last_chunk::<TRAILER>().ok_or("it is too short")?;
        if !trailer.ends_with(&MAGIC) {
            return Err("it does not end as a catalogue of this version does");
        }
        let field = |place| usize::try_from(long(trailer, place)).unwrap_or(usize::MAX);
        let [n_products, ends_at, places_at, asins_at, width] = std::array::from_fn(field);
        let ends = |start: usize, size: usize| n_products.checked_mul(size)?.checked_add(start);
        let fits = ends(ends_at, 8) == Some(places_at)
            && ends(places_at, 4) == Some(asins_at)
            && ends(asins_at, width) == Some(before.len());
        if !fits || (n_products == 0 && width > 0) {
            return Err("its parts do not fit its length");
        }
        let catalog = Self { bytes, n_products, ends_at, places_at, asins_at, width };
        let mut end = 0;
        for place in 0..n_products {
            let next = catalog.end(place);
            if next < end || next > ends_at {
                return Err("its records do not follow each other");
            }
            end = next;
        }
        if catalog.places_by_asin().iter().any(|place| place as usize >= n_products) {
            return Err("it lists products that it does not hold");
        }
        Ok(catalog)
    }

    /// How many products there are.
    pub fn len(&self) -> usize {
        self.n_products
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n_products == 0
    }

    /// All products, in load order.
    pub fn products(&self) -> impl ExactSizeIterator<Item = Product<'_>> {
        (0..self.n_products).map(|place| self.product(place))
    }

    /// The product at a place in load order; blank where there is none.
    pub fn product(&self, place: usize) -> Product<'_> {
        postcard::from_bytes(self.record(place)).unwrap_or_default()
    }

    /// The same, as far as a page of results shows it.
    pub fn listing(&self, place: usize) -> Listing<'_> {
        postcard::take_from_bytes(self.record(place))
            .map(|(listing, _)| listing)
            .unwrap_or_default()
    }

    /// The product with this id.
    pub fn get(&self, asin: &str) -> Option<Product<'_>> {
        self.position(asin).map(|place| self.product(place))
    }

    /// The place in load order of the product with this id.
    pub fn position(&self, asin: &str) -> Option<usize> {
        let asins = self.bytes.get(self.asins_at..self.bytes.len().checked_sub(TRAILER)?)?;
        let mut wanted = asin.as_bytes().to_vec();
        if wanted.is_empty() || wanted.len() > self.width || wanted.contains(&0) {
            return None;
        }
        wanted.resize(self.width, 0);
        let asin_at = |rank: usize| asins.get(rank * self.width..(rank + 1) * self.width);
        let (mut low, mut high) = (0, self.n_products);
        while low < high {
            let middle = usize::midpoint(low, high);
            match asin_at(middle)?.cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => {
                    return Some(self.places_by_asin().get(middle) as usize);
                }
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The price of every product, so that a range stays what it was drawn to be.
    pub fn prices(&self) -> Prices {
        let entry = |product: Product<'_>| (product.asin.to_owned(), product.price);
        self.products().map(entry).collect::<BTreeMap<_, _>>()
    }

    /// Places in load order, in the order of asins.
    pub(crate) fn places_by_asin(&self) -> Numbers<'_> {
        Numbers::new(self.bytes.get(self.places_at..self.asins_at).unwrap_or_default())
    }

    fn end(&self, place: usize) -> usize {
        let ends = self.bytes.get(self.ends_at..self.places_at).unwrap_or_default();
        usize::try_from(long(ends, place)).unwrap_or(usize::MAX)
    }

    fn record(&self, place: usize) -> &[u8] {
        if place >= self.n_products {
            return &[];
        }
        let start = place.checked_sub(1).map_or(0, |before| self.end(before));
        self.bytes.get(start..self.end(place)).unwrap_or_default()
    }
}
