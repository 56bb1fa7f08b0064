//! A shop of our own: products and goals drawn from word lists, in WebShop's record format.
//!
//! Real WebShop data has a licence and a size of its own; this shop is free, small and tunable.
//! Its decision: *which skills a task needs is chosen, not left to chance*. A results page shows
//! three products; prices cannot be searched for; colours are shown on a product's own page only.
//! So a price limit makes [`Needs::Next`] necessary and a colour [`Needs::Back`], and the shares
//! of both are fields of [`WorldConfig`].

mod bulk;
mod goals;
mod listing;
pub(crate) mod words;

use std::ops::RangeInclusive;
use std::sync::Arc;

use eef_core::{Seed, Split};

use crate::catalog::Catalog;
use crate::goal::Goal;
use crate::raw::{Annotations, NounTable, Prices, RawItem};
use crate::search::SearchIndex;
use crate::{WebShop, WebShopError};

pub use bulk::{BulkCatalog, BulkRecord};
pub use goals::{Needs, SyntheticGoal};
pub use listing::Listing;

/// The four-character codes that product numbers are put together from (`B0`, one of the first
/// half, one of the second): the same in every catalogue, so that a tokenizer can know them.
pub fn product_codes() -> [Vec<String>; 2] {
    words::codes()
}

/// What the shop is like.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldConfig {
    /// Products that share material, style and noun; there are 120 such combinations.
    pub products_per_combination: RangeInclusive<usize>,
    /// Colours that a product can be had in, of the five of its category.
    pub colours_per_product: RangeInclusive<usize>,
    /// Neighbouring price points (of 18, five dollars apart) that the products of a combination
    /// spread over.
    pub price_window: usize,
    /// How likely the cheapest products have longer titles, which rank them lower.
    pub extra_when_cheap: f64,
    /// How likely the dearest products have.
    pub extra_when_dear: f64,
    /// Whole tens by which a price limit exceeds the next ten above the goal product's price.
    pub limit_slack_tens: RangeInclusive<usize>,
    /// Share of goals that need Next and not Back.
    pub share_next: f64,
    /// Share of goals that need Back and not Next.
    pub share_back: f64,
    /// Share of goals that need both.
    pub share_both: f64,
    /// Goals to train on.
    pub n_train: usize,
    /// Goals to choose rounds and hyper-parameters on.
    pub n_validation: usize,
    /// Goals to report on.
    pub n_test: usize,
}

impl Default for WorldConfig {
    /// The embedded shop.
    fn default() -> Self {
        Self {
            products_per_combination: 7..=11,
            colours_per_product: 4..=4,
            price_window: 12,
            extra_when_cheap: 0.9,
            extra_when_dear: 0.1,
            limit_slack_tens: 0..=2,
            share_next: 0.38,
            share_back: 0.12,
            share_both: 0.05,
            n_train: 1000,
            n_validation: 300,
            n_test: 1000,
        }
    }
}

impl WorldConfig {
    fn share(&self, needs: Needs) -> f64 {
        match needs {
            Needs::FirstPage => 1.0 - self.share_next - self.share_back - self.share_both,
            Needs::Next => self.share_next,
            Needs::Back => self.share_back,
            Needs::Both => self.share_both,
        }
    }
}

/// A shop and what is asked of those who visit it.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// The products, in catalogue order.
    pub listings: Vec<Listing>,
    /// The goals: train first, then validation, then test.
    pub goals: Vec<SyntheticGoal>,
}

impl World {
    /// Draws a shop and its goals. The same arguments always give the same shop.
    pub fn draw(config: &WorldConfig, seed: Seed) -> Self {
        let mut world = Self { listings: listing::listings(config, seed), goals: Vec::new() };
        let index = SearchIndex::new(&world.catalog());
        // What a task needs depends on what its search finds, so the shop's own search is asked.
        let ranking = |query: &str| -> Vec<usize> {
            index.search(query).into_iter().map(|hit| hit.product as usize).collect()
        };
        world.goals = goals::goals(config, &world.listings, &ranking, seed);
        world
    }

    /// Opens the shop.
    ///
    /// # Errors
    /// [`WebShopError`] where the engine refuses a product or a goal.
    pub fn open(&self, name: &str) -> Result<Arc<WebShop>, WebShopError> {
        let goals = Split::ALL
            .into_iter()
            .flat_map(|split| self.shop_goals(split).into_iter().map(move |goal| (split, goal)));
        Ok(Arc::new(WebShop::new(name, self.catalog(), goals)?))
    }

    /// The products, cleaned.
    fn catalog(&self) -> Catalog {
        let (items, annotations, nouns) = (self.items(), self.annotations(), self.nouns());
        // No price is a range: no seed draws any.
        Catalog::new(&items, &annotations, &nouns, &Prices::new(), Seed::new(0)).0
    }

    /// The products as in WebShop's `items_shuffle.json`.
    pub fn items(&self) -> Vec<RawItem> {
        self.listings.iter().map(Listing::raw_item).collect()
    }

    /// Their attributes as in WebShop's `items_ins_v2.json`.
    pub fn annotations(&self) -> Annotations {
        let entry = |listing: &Listing| (listing.asin.clone(), listing.annotation());
        self.listings.iter().map(entry).collect()
    }

    /// The nouns of their titles.
    pub fn nouns(&self) -> NounTable {
        let entry = |listing: &Listing| (listing.asin.clone(), listing.nouns());
        self.listings.iter().map(entry).collect()
    }

    /// The goals of a split as the shop judges them.
    pub fn shop_goals(&self, split: Split) -> Vec<Goal> {
        let goals = self.goals.iter().filter(|goal| goal.split == split);
        goals.map(|goal| goal.shop_goal(&self.listings[goal.listing])).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::reward::reward;

    fn world() -> World {
        World::draw(&WorldConfig::default(), Seed::new(1))
    }

    #[test]
    fn the_same_seed_gives_the_same_shop() {
        assert_eq!(world(), world());
        assert_ne!(world().listings, World::draw(&WorldConfig::default(), Seed::new(2)).listings);
    }

    #[test]
    fn splits_are_disjoint_in_products_and_in_what_is_asked() {
        let world = world();
        let mut split_of_product: BTreeMap<usize, Split> = BTreeMap::new();
        let mut split_of_ask = BTreeMap::new();
        let mut asked = BTreeSet::new();
        for goal in &world.goals {
            assert_eq!(*split_of_product.entry(goal.listing).or_insert(goal.split), goal.split);
            let ask = (world.listings[goal.listing].query(), goal.options());
            assert_eq!(*split_of_ask.entry(ask.clone()).or_insert(goal.split), goal.split);
            assert!(asked.insert((ask, goal.limit_cents)));
        }
        assert_eq!(asked.len(), 2300);
    }

    #[test]
    fn every_skill_has_its_share_in_every_split() {
        let world = world();
        let config = WorldConfig::default();
        for (split, n_goals) in
            [(Split::Train, 1000), (Split::Validation, 300), (Split::Test, 1000)]
        {
            let goals: Vec<_> = world.goals.iter().filter(|goal| goal.split == split).collect();
            assert_eq!(goals.len(), n_goals);
            for needs in Needs::ALL {
                let n = goals.iter().filter(|goal| goal.needs == needs).count();
                let share = n as f64 / n_goals as f64;
                assert!((share - config.share(needs)).abs() < 0.05, "{split} {needs:?} {share}");
            }
        }
    }

    #[test]
    fn every_goal_is_solved_by_its_own_product_and_by_no_other_kind() {
        let world = world();
        let catalog = world.catalog();
        assert_eq!(catalog.len(), world.listings.len());
        let mut n_compared = 0;
        for split in Split::ALL {
            for goal in world.shop_goals(split) {
                let goal = goal.with_nouns_of(&catalog);
                let product = catalog.get(&goal.asin).unwrap();
                let options = goal.goal_options.values();
                let own = reward(&goal, &product, &options, product.price);
                assert!(own.reward.is_positive(), "{goal:?} {own:?}");
                let other = catalog.product(n_compared % catalog.len());
                let bought = reward(&goal, &other, &options, other.price);
                if other.query != goal.query {
                    assert!(!bought.reward.is_positive(), "{goal:?} {other:?}");
                }
                n_compared += 1;
            }
        }
        assert_eq!(n_compared, 2300);
    }

    #[test]
    fn product_numbers_are_three_pieces() {
        let codes = words::codes();
        for listing in &world().listings {
            let (first, second) = listing.asin.strip_prefix("B0").unwrap().split_at(4);
            assert!(codes[0].iter().any(|code| code == first), "{}", listing.asin);
            assert!(codes[1].iter().any(|code| code == second), "{}", listing.asin);
        }
    }
}
