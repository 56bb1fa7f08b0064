//! Instructions made up from the products of a shop that exists.

use std::collections::BTreeSet;

use eef_core::{Rng, Seed, Split};

use crate::catalog::Product;
use crate::goal::{Goal, with_price_limit};
use crate::{NO_PRICE_LIMIT, WebShop};

/// Words that some of an instruction's are drawn from: the first ones of a title.
const N_TITLE_WORDS: usize = 12;

/// Goals over products that no validation or test goal was written for.
pub(super) fn goals(shop: &WebShop, n_goals: usize, seed: Seed) -> Vec<Goal> {
    let held_out: BTreeSet<&str> = [Split::Validation, Split::Test]
        .into_iter()
        .flat_map(|split| shop.goals(split))
        .map(|goal| goal.asin.as_str())
        .collect();
    let catalog = shop.catalog();
    // Numbers, not products: a full catalogue does not fit in memory as such.
    let places: Vec<usize> = (0..catalog.len())
        .filter(|place| {
            let listing = catalog.listing(*place);
            !held_out.contains(listing.asin) && !listing.title.is_empty()
        })
        .collect();
    let mut rng = seed.derive("made-up goals", 0).rng();
    (0..n_goals)
        .filter_map(|_| rng.choose(&places).map(|place| goal(&catalog.product(*place), &mut rng)))
        .collect()
}

/// Asks for two to five words of the title in their order, maybe for the kind of product and for
/// options, and for a price that the product has in half of the cases. In small letters, as real
/// instructions are: the first thing that a reader of them has to do is to copy them.
fn goal(product: &Product<'_>, rng: &mut Rng) -> Goal {
    let title = product.title.to_lowercase();
    let words: Vec<&str> = title
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .take(N_TITLE_WORDS)
        .collect();
    let mut places: Vec<usize> = (0..words.len()).collect();
    rng.shuffle(&mut places);
    places.truncate(2 + rng.below(4));
    places.sort_unstable();
    let mut words: Vec<&str> = places.into_iter().map(|place| words[place]).collect();
    if rng.chance(0.5) && !product.query.is_empty() {
        words.push(product.query);
    }
    let mut options = Vec::new();
    for option in &product.options {
        if let Some(value) = rng.choose(&option.values).filter(|_| rng.chance(0.5)) {
            options.push(format!("{}: {value}", option.name));
        }
    }
    let with = if options.is_empty() { "" } else { " with " };
    let text = format!("Find me {}{with}{}", words.join(" "), options.join(", and "));
    let limit = (product.price * (0.5 + rng.uniform()) / 10.0).ceil() * 10.0;
    let limit = if limit < 1000.0 { limit.max(10.0) } else { NO_PRICE_LIMIT };
    let mut goal = Goal::for_product(product, with_price_limit(&text, limit));
    goal.price_upper = limit;
    // Walks are not judged; a shop asks for goals that could be.
    goal.attributes = vec![product.query.to_owned()];
    goal
}
