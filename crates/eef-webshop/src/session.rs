//! What happens in a shop while one agent visits it.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use eef_core::Seed;

use crate::catalog::{Catalog, Product};
use crate::page::{self, PAGE_SIZE, SubPage};
use crate::python::repr;
use crate::quirks;
use crate::search::{MAX_HITS, SearchIndex};
use crate::variant::{Fidelity, Variant};

/// Where a visit stands. Small, and cloned in constant time: a snapshot is a clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    place: Place,
    query: Arc<str>,
    /// Places of the products found, best first.
    found: Arc<[u32]>,
    page_number: i64,
    /// The products that may be clicked, as a part of `found`.
    listed: Range<usize>,
    /// The product whose page is or was open.
    product: Option<u32>,
    /// The product whose option values may be clicked.
    options_of: Option<u32>,
    /// Chosen option values by name, in order of the first choice.
    chosen: Arc<Vec<(String, String)>>,
    seen: Seen,
    /// The page after the purchase.
    last_page: &'static str,
}

/// Which products the page shown last was about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// None: the first page, or an empty one.
    Nothing,
    /// Those of a page of results, as a part of what was found.
    Results(Range<usize>),
    /// One, on its own page or one of its details.
    Product(u32),
}

/// What a call is answered with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// A page or a message instead of one, as the agent sees it.
    Shown(String),
    /// The end of the visit; a product that was never shown cannot be bought.
    Bought(Option<Purchase>),
    /// Nothing was done.
    Refused(Refusal),
}

/// Why a click was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The page has no such button.
    NoButton(String),
    /// The page has no button to buy.
    NothingToBuy,
    /// The results list no such product.
    NotListed,
    /// The product has no options.
    NoOptions,
    /// The product's options have no such value; holds those that they have, as Python prints a
    /// dict.
    NotAnOption(String),
    /// AgentBoard shows no page before the first or after the sixth.
    PageLimit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Initial,
    Results,
    Item,
    Sub(SubPage),
    End,
}

/// What was bought, and with which option values.
#[derive(Clone, Debug, PartialEq)]
pub struct Purchase {
    /// The place of the product in [`Catalog::products`].
    pub product: usize,
    /// Option values by name.
    pub options: Vec<(String, String)>,
    /// Whether the shop understood the order. The original loses orders whose option values hold
    /// an apostrophe; they earn nothing.
    pub is_valid: bool,
}

/// The shop that sessions visit.
#[derive(Clone, Debug)]
pub(crate) struct Floor {
    pub(crate) catalog: Catalog,
    pub(crate) index: SearchIndex,
    pub(crate) variant: Variant,
    pub(crate) fidelity: Fidelity,
}

impl Floor {
    /// The products that a query finds, best first.
    pub(crate) fn search(&self, query: &str) -> Vec<u32> {
        self.index.search(query).iter().map(|hit| hit.product).collect()
    }

    /// The same for keywords, of which a special first one asks for something else: `<r>` for
    /// random products, `<a>` for those with an attribute, `<c>` for a category, `<q>` for those
    /// collected under a query. `None` where the original fails.
    ///
    /// The original draws random products anew each time; here they are always the same.
    pub(crate) fn find(&self, keywords: &[String]) -> Option<Vec<u32>> {
        let (first, rest) = keywords.split_first()?;
        let all = || self.catalog.products().zip(0_u32..);
        let with = |fits: &dyn Fn(&Product<'_>) -> bool| {
            all().filter(|(product, _)| fits(product)).map(|(_, place)| place).collect()
        };
        Some(match first.as_str() {
            "<r>" => {
                let mut places: Vec<u32> = (0..self.catalog.len() as u32).collect();
                Seed::new(0).derive("random products", 0).rng().shuffle(&mut places);
                places.truncate(MAX_HITS);
                places
            }
            "<a>" => {
                let attribute = rest.join(" ");
                with(&|product| product.attributes.contains(&attribute.trim()))
            }
            "<c>" => {
                let category = rest.first()?.trim();
                with(&|product| product.category == category)
            }
            "<q>" => {
                let query = rest.join(" ");
                with(&|product| product.query == query.trim())
            }
            _ => self.search(&keywords.join(" ")),
        })
    }
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::Initial,
            query: Arc::from(""),
            found: Arc::from([]),
            page_number: 1,
            listed: 0..0,
            product: None,
            options_of: None,
            chosen: Arc::default(),
            seen: Seen::Nothing,
            last_page: "",
        }
    }

    /// What the page after the purchase shows, for what was earned. AgentLite shows it to those who
    /// click on.
    pub(crate) fn finish(&mut self, floor: &Floor, earned: f64) -> &'static str {
        self.last_page = match earned {
            _ if !self.is_understood(floor) => "",
            earned if earned >= 1.0 => page::SUCCESS,
            _ => page::FAILURE,
        };
        self.last_page
    }

    /// The first page.
    pub(crate) fn first_page() -> String {
        page::web_page(page::INITIAL_PAGE)
    }

    /// What the search found that the visit is at: places of products, best first.
    pub(crate) fn found(&self) -> &[u32] {
        &self.found
    }

    /// What was shown last.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Searches.
    pub(crate) fn search(&mut self, floor: &Floor, query: &str) -> Answer {
        if self.place != Place::Initial {
            return Answer::Shown(page::web_page(page::NO_SEARCH));
        }
        *self = Self::new();
        self.place = Place::Results;
        self.query = Arc::from(query);
        Answer::Shown(self.show(floor))
    }

    /// Clicks.
    pub(crate) fn click(&mut self, floor: &Floor, button: &str) -> Answer {
        match button {
            "Buy Now" if self.place == Place::Item => {
                self.place = Place::End;
                self.seen = Seen::Nothing;
                Answer::Bought(self.purchase(floor))
            }
            "Buy Now" => Answer::Refused(Refusal::NothingToBuy),
            _ => self.follow(floor, button).map_or_else(Answer::Refused, Answer::Shown),
        }
    }

    fn follow(&mut self, floor: &Floor, button: &str) -> Result<String, Refusal> {
        let missing = || Refusal::NoButton(button.to_owned());
        let sub_page = SubPage::ALL.into_iter().find(|sub| {
            // No page shows this one, and it tells what the reward compares.
            let is_hidden = *sub == SubPage::Attributes && floor.fidelity == Fidelity::Sane;
            sub.name() == button && !is_hidden
        });
        match (button, self.place) {
            ("Back to Search", Place::Results | Place::Item | Place::Sub(_)) => {
                *self = Self::new();
            }
            ("Next >", Place::Results) => {
                self.page_number = floor.variant.next_page(self.page_number)?;
            }
            ("< Prev", Place::Results) => {
                if self.page_number <= 1 {
                    match (floor.variant, floor.fidelity) {
                        (Variant::AgentBoard, _) => return Err(Refusal::PageLimit),
                        (_, Fidelity::Sane) => return Err(missing()),
                        (_, Fidelity::Original) => {}
                    }
                }
                self.page_number -= 1;
            }
            ("< Prev", Place::Sub(_)) => self.place = Place::Item,
            ("< Prev", Place::Item) => {
                self.place = Place::Results;
                self.chosen = Arc::default();
            }
            ("Back to Search" | "Next >" | "< Prev", _) => return Err(missing()),
            _ => match (sub_page, self.place) {
                (Some(sub), Place::Item) => self.place = Place::Sub(sub),
                (Some(_), _) => return Err(missing()),
                (None, Place::Results) => {
                    let listed = self.listed_product(floor, button);
                    self.product = Some(listed.ok_or(Refusal::NotListed)?);
                    self.place = Place::Item;
                }
                (None, Place::Item) => return self.choose(floor, button),
                (None, _) => {}
            },
        }
        Ok(self.show(floor))
    }

    fn listed_product(&self, floor: &Floor, asin: &str) -> Option<u32> {
        let mut listed = self.found[self.listed.clone()].iter().copied();
        listed.find(|product| floor.catalog.listing(*product as usize).asin == asin)
    }

    fn choose(&mut self, floor: &Floor, value: &str) -> Result<String, Refusal> {
        let product = self.options_of.map(|p| floor.catalog.product(p as usize));
        let product = product.ok_or(Refusal::NoOptions)?;
        let Some(name) = product.option_of(value) else {
            return Err(Refusal::NotAnOption(option_types(&product)));
        };
        let chosen = Arc::make_mut(&mut self.chosen);
        match chosen.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => value.clone_into(old),
            None => chosen.push((name.to_owned(), value.to_owned())),
        }
        let clicked = page::option_clicked(value);
        Ok(page::web_page(&match floor.fidelity {
            Fidelity::Sane => clicked,
            Fidelity::Original => quirks::latin_1(&clicked),
        }))
    }

    /// Whether the shop can read what was chosen.
    pub(crate) fn is_understood(&self, floor: &Floor) -> bool {
        floor.fidelity == Fidelity::Sane || !quirks::breaks_options(&self.chosen)
    }

    fn purchase(&self, floor: &Floor) -> Option<Purchase> {
        let is_valid = self.is_understood(floor);
        let product = self.product? as usize;
        Some(Purchase { product, options: self.chosen.as_ref().clone(), is_valid })
    }

    /// Renders where the session stands, and remembers what can be clicked there.
    fn show(&mut self, floor: &Floor) -> String {
        self.seen = Seen::Nothing;
        if self.place == Place::Results && self.found.is_empty() {
            let Some(found) = self.find(floor) else { return page::web_page("") };
            self.found = found.into();
        }
        let shows_options = matches!(self.place, Place::Item | Place::Sub(_));
        let body = match floor.fidelity {
            Fidelity::Sane => self.body(floor),
            Fidelity::Original if shows_options && quirks::breaks_options(&self.chosen) => {
                String::new()
            }
            Fidelity::Original => quirks::latin_1(&self.body(floor)),
        };
        page::web_page(&body)
    }

    /// What the query finds; `None` where the original fails over it.
    fn find(&self, floor: &Floor) -> Option<Vec<u32>> {
        match floor.fidelity {
            Fidelity::Sane => Some(floor.search(&self.query)),
            Fidelity::Original => floor.find(&quirks::keywords_from_url(&self.query)?),
        }
    }

    fn body(&mut self, floor: &Floor) -> String {
        let product_at = |place: u32| floor.catalog.product(place as usize);
        match (self.place, self.product) {
            (Place::End, _) => self.last_page.to_owned(),
            (Place::Initial, _) | (Place::Item | Place::Sub(_), None) => {
                page::INITIAL_PAGE.to_owned()
            }
            (Place::Results, _) => {
                let shown = quirks::page_range(self.page_number, self.found.len());
                self.seen = Seen::Results(shown.clone());
                if floor.fidelity == Fidelity::Sane || !shown.is_empty() {
                    self.listed = shown.clone();
                }
                let shown =
                    self.found[shown].iter().map(|place| floor.catalog.listing(*place as usize));
                page::results_page(self.page_number, shown)
            }
            (Place::Item, Some(product)) => {
                self.seen = Seen::Product(product);
                let item = &product_at(product);
                if !item.options.is_empty() {
                    self.options_of = Some(product);
                } else if floor.fidelity == Fidelity::Sane {
                    self.options_of = None;
                }
                let is_chosen = |value: &str| {
                    let is_option = |name: &str| item.option_of(value) == Some(name);
                    self.chosen.iter().any(|(name, chosen)| match floor.fidelity {
                        Fidelity::Sane => value == chosen && is_option(name),
                        Fidelity::Original => value == chosen && quirks::is_marked(chosen),
                    })
                };
                page::item_page(item, is_chosen)
            }
            (Place::Sub(sub), Some(product)) => {
                self.seen = Seen::Product(product);
                page::sub_page(&product_at(product), sub)
            }
        }
    }
}

/// The values of a product's options with their names, as Python prints a dict.
fn option_types(product: &Product<'_>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut out = String::new();
    for value in product.options.iter().flat_map(|option| &option.values) {
        if !seen.contains(value) {
            seen.push(value);
            let name = product.option_of(value).unwrap_or_default();
            let comma = if out.is_empty() { "" } else { ", " };
            let _ = write!(out, "{comma}{}: {}", repr(value), repr(name));
        }
    }
    format!("{{{out}}}")
}

const _: () = assert!(PAGE_SIZE == 3, "the page format of AgentLite lists three products");
