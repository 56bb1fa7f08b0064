//! One visitor after the other.

use std::sync::Arc;

use eef_core::{Env, Message, Opening, Rng, Seed, Split, TaskId};

use super::{BrowsingConfig, drawn_from, notes};
use crate::goal::Goal;
use crate::synthetic::{Listing, World};
use crate::teacher::page::Page;
use crate::teacher::view::{BACK, BUY, NEXT, PREVIOUS, View};
use crate::{AgentAction, Shopper, WebShop, WebShopError};

const NAME: &str = "browsing";

/// The visits to one shop.
pub(super) struct Walks {
    /// Words that visitors search who search something else.
    queries: Vec<String>,
    shopper: Shopper,
    tasks: std::vec::IntoIter<TaskId>,
    seed: Seed,
    /// Whether words are searched for in the order in which they stand.
    in_order: bool,
}

impl Walks {
    /// Visits to a drawn shop, one for each of its goals.
    pub(super) fn new(world: &World, seed: Seed) -> Result<Self, WebShopError> {
        let queries = world.listings.iter().map(Listing::query).collect();
        Ok(Self::to(&world.open(NAME)?, queries, seed, false))
    }

    /// Visits to a shop that exists, with goals of one's own. Real instructions are long; visitors
    /// search for a stretch of them, so that copying in order is practised, and never for all of
    /// it: that is what a teacher types first.
    pub(super) fn over(
        shop: &Arc<WebShop>,
        goals: Vec<Goal>,
        seed: Seed,
    ) -> Result<Self, WebShopError> {
        let goals = goals.into_iter().map(|goal| (Split::Train, goal));
        let browsed = shop.with_goals(NAME, goals)?;
        let titles = drawn_from(shop.catalog()).map(|product| product.title);
        let queries = titles
            .map(|title| title.split_whitespace().take(4).collect::<Vec<_>>().join(" "))
            .filter(|query| !query.is_empty())
            .collect();
        Ok(Self::to(&Arc::new(browsed), queries, seed, true))
    }

    fn to(shop: &Arc<WebShop>, queries: Vec<String>, seed: Seed, in_order: bool) -> Self {
        let n_tasks = shop.goals(Split::Train).len() as u32;
        let tasks: Vec<TaskId> = (0..n_tasks).map(|i| TaskId::new(NAME, Split::Train, i)).collect();
        Self { queries, shopper: shop.shopper(), tasks: tasks.into_iter(), seed, in_order }
    }

    /// The next visitor's transcript; `None` where all goals were used.
    pub(super) fn next(
        &mut self,
        config: &BrowsingConfig,
        prompt: &dyn Fn(&Opening) -> String,
    ) -> Option<Vec<Message>> {
        let task = self.tasks.next()?;
        let mut rng = self.seed.derive("visitor", task.index().into()).rng();
        let opening = self.shopper.reset(&task).ok()?;
        let mut view = View::open(&opening.instruction);
        let mut transcript = vec![Message::user(prompt(&opening))];
        let mut n_pages = 0;
        loop {
            let action = self.act(&view, config, &mut rng);
            let said = Message::assistant(action.to_string(), None);
            let transition = self.shopper.step(&said.text).ok()?;
            let heard = Message::user(transition.observation.as_str());
            view.hear(&said);
            view.hear(&heard);
            transcript.extend([said, heard]);
            n_pages += usize::from(!view.has_just_thought);
            if transition.terminated || n_pages >= config.max_pages {
                return Some(transcript);
            }
        }
    }

    fn act(&self, view: &View, config: &BrowsingConfig, rng: &mut Rng) -> AgentAction {
        let may_note = !view.has_just_thought && view.chosen.is_empty() && rng.chance(config.note);
        let note = match &view.page {
            Page::Results(offers) if may_note => notes::about_results(&view.need, offers, rng),
            Page::Item(choices) if may_note => notes::about_item(&view.need, choices, rng),
            _ => None,
        };
        if let Some(note) = note {
            return AgentAction::think(note);
        }
        let buttons: Vec<&str> = match &view.page {
            Page::Home => return AgentAction::search(self.query(view, config, rng)),
            Page::Results(offers) => {
                let numbers = offers.iter().map(|offer| offer.asin.as_str());
                let previous = (view.n_next > 0).then_some(PREVIOUS);
                numbers.chain([NEXT, BACK]).chain(previous).collect()
            }
            Page::Item(choices) => {
                let values = choices.iter().flat_map(|choice| &choice.values);
                values.map(String::as_str).chain([BUY, BACK, PREVIOUS]).collect()
            }
            // A real product may offer a value named like one of its pages.
            Page::Details => vec![BACK, PREVIOUS],
        };
        AgentAction::click(*rng.choose(&buttons).unwrap_or(&BACK))
    }

    /// Words of the instruction or of a product. In a drawn shop all of them half of the time, in a
    /// shop that exists all but one: with fewer, hardly a page shows what was asked for.
    fn query(&self, view: &View, config: &BrowsingConfig, rng: &mut Rng) -> String {
        let split = |text: &str| text.split(' ').map(str::to_owned).collect();
        let mut words: Vec<String> = if !rng.chance(config.searches_own_words) {
            split(rng.choose(&self.queries).map_or("", String::as_str))
        } else if self.in_order {
            split(&view.need.query())
        } else {
            view.need.keywords.clone()
        };
        if self.in_order {
            let longest = words.len().saturating_sub(1).max(1);
            let n_words = if rng.chance(0.5) { longest } else { 1 + rng.below(longest) };
            let start = rng.below(words.len() - n_words + 1);
            return words[start..start + n_words].join(" ");
        }
        rng.shuffle(&mut words);
        if rng.chance(0.5) {
            words.truncate(1 + rng.below(words.len()));
        }
        words.join(" ")
    }
}
