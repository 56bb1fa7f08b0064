//! Products, before they become raw records.

use eef_core::{Rng, Seed};

use super::WorldConfig;
use super::words::{BRANDS, CATEGORIES, Category, EXTRAS, PRICE_POINTS, SIZES, codes};
use crate::raw::{Annotation, RawItem, RawOptions};

/// A synthetic product.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// Product number: `B0` and two four-character codes.
    pub asin: String,
    /// What it is called: material, style, noun, brand, and sometimes two words more. The words
    /// that are asked for come first and in the instruction's order, so that they are the same
    /// tokens in both.
    pub title: String,
    /// What it is.
    pub noun: &'static str,
    /// What it is made of.
    pub material: &'static str,
    /// How it looks.
    pub style: &'static str,
    /// The colours it can be had in, shown on its own page only.
    pub colours: Vec<&'static str>,
    /// The sizes it can be had in; may be empty.
    pub sizes: Vec<&'static str>,
    /// The price in cents.
    pub cents: u32,
    category: Category,
}

impl Listing {
    /// The price in dollars.
    pub fn price(&self) -> f64 {
        f64::from(self.cents) / 100.0
    }

    /// The words that name this kind of product: what an agent types into the search box.
    pub fn query(&self) -> String {
        format!("{} {} {}", self.material, self.style, self.noun)
    }

    /// The record as in WebShop's `items_shuffle.json`.
    pub fn raw_item(&self) -> RawItem {
        let texts = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
        let mut options = vec![("color", texts(&self.colours))];
        if !self.sizes.is_empty() {
            options.push(("size", texts(&self.sizes)));
        }
        RawItem {
            asin: self.asin.clone(),
            name: self.title.clone(),
            full_description: format!(
                "A {} {} with a {} look.",
                self.material, self.noun, self.style
            ),
            small_description: vec![
                format!("Made of {}.", self.material),
                "Carefully packed.".to_owned(),
            ],
            pricing: format!("${}", dollars(self.cents)),
            customization_options: RawOptions::from_texts(options),
            category: self.category.department.to_owned(),
            query: self.noun.to_owned(),
            product_category: self.category.path.to_owned(),
            images: Vec::new(),
        }
    }

    /// The record as in WebShop's `items_ins_v2.json`: attributes and no instruction.
    pub fn annotation(&self) -> Annotation {
        Annotation { attributes: self.attributes(), ..Annotation::default() }
    }

    /// What a goal over this product asks for besides options and price.
    pub fn attributes(&self) -> Vec<String> {
        vec![self.material.to_owned(), self.style.to_owned()]
    }

    /// The nouns of its title that tell kinds of products apart. Brands are left out: the same
    /// maker's lamp is no substitute for a chair.
    pub fn nouns(&self) -> Vec<String> {
        vec![self.noun.to_owned()]
    }
}

/// Cents as dollars with two decimals.
pub(crate) fn dollars(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Draws a catalogue.
pub(crate) fn listings(config: &WorldConfig, seed: Seed) -> Vec<Listing> {
    let mut rng = seed.derive("listings", 0).rng();
    let mut numbers = product_numbers(&mut rng).into_iter();
    let mut listings = Vec::new();
    for category in CATEGORIES {
        for material in category.materials {
            for style in category.styles {
                let cheapest = rng.below(PRICE_POINTS.len() + 1 - config.price_window);
                let prices = &PRICE_POINTS[cheapest..cheapest + config.price_window];
                for _ in 0..between(&mut rng, &config.products_per_combination) {
                    let Some(asin) = numbers.next() else { return listings };
                    let rank = rng.below(prices.len());
                    let dearness = rank as f64 / (prices.len() - 1).max(1) as f64;
                    listings.push(listing(
                        config,
                        category,
                        (material, style),
                        (prices[rank], dearness),
                        asin,
                        &mut rng,
                    ));
                }
            }
        }
    }
    rng.shuffle(&mut listings);
    listings
}

fn listing(
    config: &WorldConfig,
    category: Category,
    (material, style): (&'static str, &'static str),
    (cents, dearness): (u32, f64),
    asin: String,
    rng: &mut Rng,
) -> Listing {
    let brand = BRANDS[rng.below(BRANDS.len())];
    let mut title = format!("{material} {style} {} {brand}", category.noun);
    let p_extra = config.extra_when_cheap * (1.0 - dearness) + config.extra_when_dear * dearness;
    if rng.chance(p_extra) {
        title.push(' ');
        title.push_str(EXTRAS[rng.below(EXTRAS.len())]);
    }
    let mut colours = category.colours.to_vec();
    rng.shuffle(&mut colours);
    colours.truncate(between(rng, &config.colours_per_product));
    Listing {
        asin,
        title,
        noun: category.noun,
        material,
        style,
        colours,
        sizes: if category.sized { SIZES.to_vec() } else { Vec::new() },
        cents,
        category,
    }
}

fn product_numbers(rng: &mut Rng) -> Vec<String> {
    let [first, second] = codes();
    let mut numbers: Vec<String> = first
        .iter()
        .flat_map(|first| second.iter().map(move |second| format!("B0{first}{second}")))
        .collect();
    rng.shuffle(&mut numbers);
    numbers
}

/// A uniform number of a range that includes its end.
pub(crate) fn between(rng: &mut Rng, range: &std::ops::RangeInclusive<usize>) -> usize {
    range.start() + rng.below(range.end() + 1 - range.start())
}
