//! Browsing transcripts: what a small base model reads before it learns to shop.
//!
//! A model of a million parameters that starts from nothing cannot copy a product number, let
//! alone compare prices; a pretrained language model can. This corpus gives the small one that
//! much: *how to read, not what to do*. Visitors search words of what they were asked for, or of
//! some other product, and press random buttons. In a drawn shop the words come in any order, maybe
//! all of them; in a shop that exists they are a stretch, in its order and shorter than the whole.
//! Some say, as thoughts, what stands on a page ([`BrowsingConfig::note`]): whether a product is
//! what was asked for, whether its price is below the limit, whether a colour is there. Whatever
//! such a note says, the next action is drawn without regard to it.
//!
//! The shops that are browsed are drawn from the words of [`synthetic`](crate::synthetic) with
//! seeds of their own, and change every few visits, so that no product number can be learned by
//! heart; or a shop that exists is browsed ([`BrowsingCorpus::over`]), with instructions made up
//! from products that no validation or test goal asks for, and copying exercises between and before
//! the visits. Instructions that ask the same as a reserved one, in whatever words, do not occur.
//!
//! ```
//! use eef_core::Seed;
//! use eef_webshop::browsing::{BrowsingConfig, BrowsingCorpus};
//!
//! let prompt = |opening: &eef_core::Opening| opening.instruction.clone();
//! let reserved = ["i need a wool modern rug in blue, and price lower than 40.00 dollars"];
//! let mut corpus = BrowsingCorpus::new(BrowsingConfig::default(), Seed::new(1), &prompt)
//!     .without(reserved);
//! let transcript = corpus.next().unwrap()?;
//! assert!(transcript[1].text.starts_with("search["));
//! # Ok::<(), eef_webshop::WebShopError>(())
//! ```

mod exercises;
mod made_up;
mod notes;
mod walk;

use std::collections::BTreeSet;
use std::sync::Arc;

use eef_core::{Message, Opening, Seed};

use crate::catalog::{Catalog, Product};
use crate::goal::Goal;
use crate::synthetic::{World, WorldConfig};
use crate::teacher::need::Need;
use crate::{WebShop, WebShopError};
use exercises::Exercises;
use walk::Walks;

/// What browsing is like.
#[derive(Clone, Debug, PartialEq)]
pub struct BrowsingConfig {
    /// Transcripts to make.
    pub n_transcripts: usize,
    /// Instructions for one shop before another is drawn; those that ask what is reserved fall
    /// away.
    pub n_per_shop: usize,
    /// Pages to be seen in one visit at most.
    pub max_pages: usize,
    /// How likely the words searched are the instruction's, and not of a random product.
    pub searches_own_words: f64,
    /// How likely a note follows a page that something can be said about.
    pub note: f64,
    /// How many transcripts are copying exercises with the words of the shop before the first
    /// visit; only where a shop that exists is browsed.
    pub n_exercises_first: usize,
    /// How likely a later transcript is an exercise instead of a visit.
    pub exercises: f64,
}

impl Default for BrowsingConfig {
    fn default() -> Self {
        Self {
            n_transcripts: 24_000,
            n_per_shop: 200,
            max_pages: 5,
            searches_own_words: 0.7,
            note: 0.6,
            n_exercises_first: 0,
            exercises: 0.0,
        }
    }
}

/// An endless source cut to length: one transcript after the other, each a conversation of user
/// and assistant messages as in an episode. The same arguments give the same transcripts.
pub struct BrowsingCorpus<'a> {
    config: BrowsingConfig,
    seed: Seed,
    prompt: &'a dyn Fn(&Opening) -> String,
    shop: Option<Arc<WebShop>>,
    reserved: BTreeSet<String>,
    exercises: Option<Exercises>,
    walks: Option<Walks>,
    n_shops: u64,
    n_empty_shops: usize,
    n_made: usize,
}

impl<'a> BrowsingCorpus<'a> {
    /// Prepares a corpus. `prompt` makes the first user message, as for rollouts.
    pub fn new(config: BrowsingConfig, seed: Seed, prompt: &'a dyn Fn(&Opening) -> String) -> Self {
        let reserved = BTreeSet::new();
        Self {
            config,
            seed,
            prompt,
            shop: None,
            reserved,
            exercises: None,
            walks: None,
            n_shops: 0,
            n_empty_shops: 0,
            n_made: 0,
        }
    }

    /// Leaves out whatever asks the same as one of these instructions: those of the tasks that a
    /// model is trained, validated and tested on.
    #[must_use]
    pub fn without<T: AsRef<str>>(mut self, instructions: impl IntoIterator<Item = T>) -> Self {
        self.reserved.extend(instructions.into_iter().map(|text| asked(text.as_ref())));
        self
    }

    /// Browses this shop instead of ones that are drawn: for models that are to read the words of
    /// real products. Products that a validation or test goal was written for get no instruction.
    #[must_use]
    pub fn over(mut self, shop: Arc<WebShop>) -> Self {
        self.exercises = Some(Exercises::new(&shop, self.seed.derive("exercises", 0)));
        self.shop = Some(shop);
        self
    }

    fn transcript(&mut self) -> Result<Vec<Message>, WebShopError> {
        if let Some(exercises) = &mut self.exercises {
            let mut rng = self.seed.derive("visit or exercise", self.n_made as u64).rng();
            if self.n_made <= self.config.n_exercises_first || rng.chance(self.config.exercises) {
                return Ok(exercises.next(self.prompt));
            }
        }
        loop {
            if let Some(transcript) =
                self.walks.as_mut().and_then(|walks| walks.next(&self.config, self.prompt))
            {
                self.n_empty_shops = 0;
                return Ok(transcript);
            }
            if self.n_empty_shops == MAX_EMPTY_SHOPS {
                return Err(WebShopError::NothingToBrowse { n_reserved: self.reserved.len() });
            }
            self.n_empty_shops += 1;
            let seed = self.seed.derive("shop to browse", self.n_shops);
            self.n_shops += 1;
            self.walks = Some(match &self.shop {
                Some(shop) => {
                    let mut goals = made_up::goals(shop, self.config.n_per_shop, seed);
                    goals.retain(|goal| self.is_free(goal));
                    Walks::over(shop, goals, seed)?
                }
                None => self.drawn(seed)?,
            });
        }
    }

    fn drawn(&self, seed: Seed) -> Result<Walks, WebShopError> {
        let config = WorldConfig {
            n_train: self.config.n_per_shop.max(1),
            n_validation: 0,
            n_test: 0,
            ..WorldConfig::default()
        };
        let mut world = World::draw(&config, seed);
        world.goals.retain(|goal| !self.reserved.contains(&asked(&goal.instruction)));
        Walks::new(&world, seed)
    }

    fn is_free(&self, goal: &Goal) -> bool {
        !self.reserved.contains(&asked(&goal.instruction_text))
    }
}

/// Shops without a free instruction before it is given up: something is wrong then.
const MAX_EMPTY_SHOPS: usize = 20;

/// What an instruction asks, whatever its words.
fn asked(instruction: &str) -> String {
    Need::read(instruction).canonical()
}

impl Iterator for BrowsingCorpus<'_> {
    type Item = Result<Vec<Message>, WebShopError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.n_made == self.config.n_transcripts {
            return None;
        }
        self.n_made += 1;
        Some(self.transcript())
    }
}

/// Words are drawn from so many products at most, spread over the catalogue: those of a million
/// say no more, and would not fit in memory.
const MAX_PRODUCTS: usize = 20_000;

/// The products that words are drawn from: all of them where they are not too many.
fn drawn_from(catalog: &Catalog) -> impl Iterator<Item = Product<'_>> {
    let stride = catalog.len().div_ceil(MAX_PRODUCTS).max(1);
    (0..catalog.len()).step_by(stride).map(|place| catalog.product(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(n: usize, seed: u64) -> Vec<Vec<Message>> {
        let config = BrowsingConfig { n_transcripts: n, n_per_shop: 20, ..Default::default() };
        let prompt = |opening: &Opening| opening.instruction.clone();
        BrowsingCorpus::new(config, Seed::new(seed), &prompt).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_transcripts() {
        assert_eq!(corpus(30, 1), corpus(30, 1));
        assert_ne!(corpus(5, 1), corpus(5, 2));
    }

    #[test]
    fn a_shorter_corpus_is_the_beginning_of_a_longer_one() {
        assert_eq!(corpus(30, 1)[..10], corpus(10, 1));
    }

    #[test]
    fn what_is_reserved_does_not_occur() {
        let prompt = |opening: &Opening| opening.instruction.clone();
        let first = corpus(20, 1);
        // The same in other words.
        let asked = first[3][0].text.replace("i need a", "find me a").replace(" color ", " ");
        let config = BrowsingConfig { n_transcripts: 40, n_per_shop: 20, ..Default::default() };
        let rest = BrowsingCorpus::new(config, Seed::new(1), &prompt).without([&asked]);
        let mut n_compared = 0;
        for transcript in rest {
            let text = transcript.unwrap()[0].text.clone();
            assert_ne!(super::asked(&text), super::asked(&asked));
            n_compared += 1;
        }
        assert_eq!(n_compared, 40);
    }

    #[test]
    fn a_shop_that_exists_is_browsed() {
        let shop = WebShop::sample().unwrap();
        let prompt = |opening: &Opening| opening.instruction.clone();
        let config = BrowsingConfig { n_transcripts: 50, n_per_shop: 30, ..Default::default() };
        let tested: Vec<&str> = shop
            .goals(eef_core::Split::Test)
            .iter()
            .map(|goal| goal.instruction_text.as_str())
            .collect();
        let corpus = BrowsingCorpus::new(config, Seed::new(1), &prompt)
            .over(Arc::clone(&shop))
            .without(&tested);
        let mut n_clicks = 0;
        for transcript in corpus {
            let transcript = transcript.unwrap();
            assert!(!tested.contains(&transcript[0].text.as_str()));
            n_clicks += transcript.iter().filter(|said| said.text.starts_with("click[")).count();
        }
        assert!(n_clicks > 50);
    }

    #[test]
    fn nobody_in_a_shop_that_exists_searches_all_that_was_asked_for() {
        let prompt = |opening: &Opening| opening.instruction.clone();
        let config = BrowsingConfig { n_transcripts: 200, n_per_shop: 30, ..Default::default() };
        let corpus =
            BrowsingCorpus::new(config, Seed::new(1), &prompt).over(WebShop::sample().unwrap());
        let mut n_stretches = 0;
        for transcript in corpus {
            let transcript = transcript.unwrap();
            let whole = Need::read(&transcript[0].text).query();
            // Of a single word there is no shorter stretch.
            if !whole.contains(' ') {
                continue;
            }
            for said in &transcript[1..] {
                let Some(rest) = said.text.strip_prefix("search[{\"product\": \"") else {
                    continue;
                };
                let query = rest.strip_suffix("\"}]").unwrap();
                assert_ne!(query, whole);
                n_stretches += usize::from(whole.contains(query));
            }
        }
        assert!(n_stretches > 100, "{n_stretches}");
    }

    #[test]
    fn an_exercise_is_solved_by_copying() {
        let shop = WebShop::sample().unwrap();
        let prompt = |opening: &Opening| opening.instruction.clone();
        let config =
            BrowsingConfig { n_transcripts: 60, exercises: 1.0, ..BrowsingConfig::default() };
        let corpus = BrowsingCorpus::new(config, Seed::new(1), &prompt).over(shop);
        let mut n_copied = 0;
        for transcript in corpus {
            let transcript = transcript.unwrap();
            let mut seen = transcript[0].text.clone();
            for said in &transcript[1..] {
                let typed = match crate::AgentAction::parse(&said.text) {
                    crate::AgentAction::Search { product } => Some(product),
                    crate::AgentAction::Click { button } => Some(button),
                    _ => None,
                };
                if let Some(typed) = typed.filter(|_| said.role == eef_core::Role::Assistant) {
                    for word in typed.split(' ') {
                        assert!(seen.contains(word), "{word:?} does not stand in {seen:?}");
                    }
                    n_copied += 1;
                }
                seen.push_str(&said.text);
            }
        }
        assert!(n_copied > 150, "{n_copied}");
    }

    #[test]
    fn notes_do_not_foretell_actions() {
        let mut after_note = [0_usize; 2];
        for transcript in corpus(600, 3) {
            for window in transcript.windows(3) {
                let [said, _, next] = window else { continue };
                if said.text.contains("nothing here has all") {
                    after_note[usize::from(next.text.contains("Next >"))] += 1;
                }
            }
        }
        let [others, next] = after_note;
        assert!(others + next > 50, "{after_note:?}");
        // Four to six buttons stand on a page of results; Next is one.
        let share = next as f64 / (others + next) as f64;
        assert!((0.08..0.35).contains(&share), "{share}");
    }
}
