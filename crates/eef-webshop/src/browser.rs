//! WebShop's own text modes: `text` and `text_rich`, ten products a page, a search on every page.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::catalog::Product;
use crate::page::SubPage;
use crate::python::{json, repr, strip};
use crate::session::{Floor, Purchase};
use crate::variant::{Fidelity, TextMode};

/// Products on one page of results.
const PAGE_SIZE: usize = 10;
/// The address of every page; the text modes look for chosen values in it.
const BASE: &str = "http://127.0.0.1:3000";

/// A visit with a simulated browser. Cloned in constant time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Browser {
    /// The number of the session: that of its goal.
    number: u32,
    place: Place,
    keywords: Arc<[String]>,
    /// Places of the products found, best first.
    found: Arc<[u32]>,
    /// From 1.
    page: usize,
    product: Option<u32>,
    /// Products whose pages were opened since the search box was shown last.
    visited: Arc<BTreeSet<u32>>,
    /// Chosen option values by name, in order of the first choice.
    chosen: Arc<Vec<(String, String)>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Index,
    Results,
    Item,
    Sub(SubPage),
    /// Holds what the purchase earned.
    Done(f64),
}

/// A text of a page and what it is in the page's HTML.
struct Node<'a> {
    kind: Kind<'a>,
    text: Cow<'a, str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind<'a> {
    Plain,
    Button,
    /// A value of the option with this name.
    Value(&'a str),
    /// The asin of this product.
    Product(u32),
}

/// What can be done on a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AvailableActions {
    /// Whether the page shows the search box. WebShop searches without it too.
    pub has_search_bar: bool,
    /// What can be clicked, in lower case but for option values.
    pub clickables: Vec<String>,
}

impl Browser {
    pub(crate) fn new(number: u32) -> Self {
        Self {
            number,
            place: Place::Index,
            keywords: Arc::from([]),
            found: Arc::from([]),
            page: 1,
            product: None,
            visited: Arc::default(),
            chosen: Arc::default(),
        }
    }

    /// Searches for these words, wherever the visit is.
    pub(crate) fn search(&mut self, floor: &Floor, query: &str) {
        self.keywords = query.split(' ').map(str::to_owned).collect();
        // Where the original fails nothing is found.
        self.found = floor.find(&self.keywords).unwrap_or_default().into();
        self.show_results(1);
    }

    /// Clicks what can be clicked, anything else changes nothing; the purchase where there is one.
    pub(crate) fn click(&mut self, floor: &Floor, button: &str) -> Option<Purchase> {
        let nodes = self.nodes(floor, "");
        // Of several with this text the last counts: option values come after buttons.
        let mut clicked = nodes.iter().filter(|node| is_clicked(node, button)).map(|n| n.kind);
        let kind = clicked.next_back().filter(|_| button != "search")?;
        let option = match kind {
            Kind::Value(name) => Some(name.to_owned()),
            _ => None,
        };
        let sub_page = SubPage::ALL.into_iter().find(|s| s.name().to_lowercase() == button);
        match (button, self.page_name(floor.fidelity)) {
            ("buy now", _) => return self.purchase(),
            ("back to search", _) => *self = Self::new(self.number),
            ("next >", Place::Results) => self.show_results(self.page + 1),
            ("< prev", Place::Results) => self.show_results(self.page.saturating_sub(1).max(1)),
            ("< prev", Place::Item) => self.show_results(self.page),
            _ => match (sub_page, kind) {
                (Some(sub), _) => self.place = Place::Sub(sub),
                (None, Kind::Product(product)) => {
                    self.product = Some(product);
                    Arc::make_mut(&mut self.visited).insert(product);
                    self.place = Place::Item;
                }
                (None, _) => {
                    if let Some(name) = option {
                        self.choose(name, button);
                    }
                    self.place = Place::Item;
                }
            },
        }
        None
    }

    /// Shows what a purchase earned.
    pub(crate) fn finish(&mut self, reward: f64) {
        self.place = Place::Done(reward);
    }

    /// The page as the agent sees it.
    pub(crate) fn observation(&self, floor: &Floor, instruction: &str, mode: TextMode) -> String {
        let nodes = self.nodes(floor, instruction);
        match mode {
            TextMode::Text => {
                let texts: Vec<&str> = nodes.iter().map(|node| strip(&node.text)).collect();
                texts.join(" [SEP] ")
            }
            TextMode::TextRich => self.rich(&nodes, floor.fidelity),
        }
    }

    /// What can be done here.
    pub(crate) fn available_actions(&self, floor: &Floor) -> AvailableActions {
        let nodes = self.nodes(floor, "");
        let mut clickables: Vec<String> = Vec::new();
        let is_kind = |wanted: fn(Kind<'_>) -> bool| nodes.iter().filter(move |n| wanted(n.kind));
        let named = is_kind(|kind| matches!(kind, Kind::Button))
            .chain(is_kind(|kind| matches!(kind, Kind::Product(_))))
            .map(|node| node.text.to_lowercase());
        let values = is_kind(|kind| matches!(kind, Kind::Value(_))).map(|n| n.text.to_string());
        for text in named.chain(values) {
            if !clickables.contains(&text) {
                clickables.push(text);
            }
        }
        AvailableActions { has_search_bar: self.place == Place::Index, clickables }
    }

    /// The address of the page.
    pub(crate) fn url(&self, floor: &Floor) -> String {
        let (number, page) = (self.number, self.page);
        let words = self.keywords.join("+");
        let product = self.product.map(|product| floor.catalog.listing(product as usize));
        let asin = product.map_or("", |product| product.asin);
        match self.place {
            Place::Index => format!("{BASE}/{number}"),
            Place::Results => format!("{BASE}/search_results/{number}/{words}/{page}"),
            Place::Item => {
                let options = self.options(json);
                format!("{BASE}/item_page/{number}/{asin}/{words}/{page}/{options}")
            }
            Place::Sub(sub) => {
                let (sub, options) = (sub.name(), self.options(repr));
                format!("{BASE}/item_sub_page/{number}/{asin}/{words}/{page}/{sub}/{options}")
            }
            Place::Done(_) => format!("{BASE}/done/{number}/{asin}/{}", self.options(repr)),
        }
    }

    /// The chosen options as Python prints a dict, each text as `print` does it.
    fn options(&self, print: fn(&str) -> String) -> String {
        let pairs = self.chosen.iter().map(|(n, v)| format!("{}: {}", print(n), print(v)));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
    }

    fn show_results(&mut self, page: usize) {
        self.place = Place::Results;
        self.page = page;
        self.product = None;
        self.chosen = Arc::default();
    }

    fn choose(&mut self, name: String, value: &str) {
        let chosen = Arc::make_mut(&mut self.chosen);
        match chosen.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => value.clone_into(old),
            None => chosen.push((name, value.to_owned())),
        }
    }

    fn purchase(&self) -> Option<Purchase> {
        let product = self.product? as usize;
        Some(Purchase { product, options: self.chosen.as_ref().clone(), is_valid: true })
    }

    /// Which page a button leads on from. The original looks for its name in the address, so
    /// words that were searched for can be taken for it.
    fn page_name(&self, fidelity: Fidelity) -> Place {
        let names = |name: &str| self.keywords.join("+").contains(name);
        match (fidelity, self.place) {
            (Fidelity::Original, Place::Item | Place::Sub(_)) if names("search_results") => {
                Place::Results
            }
            (Fidelity::Original, Place::Sub(_)) if names("item_page") => Place::Item,
            (_, place) => place,
        }
    }

    fn nodes<'a>(&self, floor: &'a Floor, instruction: &'a str) -> Vec<Node<'a>> {
        let product = self.product.map(|product| floor.catalog.product(product as usize));
        let mut nodes = Vec::new();
        let mut add = |kind: Kind<'a>, text: Cow<'a, str>| nodes.extend(node(kind, text));
        if let Place::Done(reward) = self.place {
            for text in done_texts(product.as_ref(), &self.chosen, reward) {
                add(Kind::Plain, text);
            }
            return nodes;
        }
        if self.place == Place::Index {
            add(Kind::Plain, "WebShop".into());
            add(Kind::Plain, "Instruction: ".into());
            add(Kind::Plain, instruction.into());
            add(Kind::Button, "Search".into());
            return nodes;
        }
        add(Kind::Plain, "Instruction:".into());
        add(Kind::Plain, instruction.into());
        add(Kind::Button, "Back to Search".into());
        if self.place == Place::Results {
            let total = self.found.len();
            add(Kind::Plain, format!("Page {} (Total results: {total})", self.page).into());
            if self.page > 1 {
                add(Kind::Button, "< Prev".into());
            }
            add(Kind::Button, "Next >".into());
            let before = self.page.saturating_sub(1).saturating_mul(PAGE_SIZE);
            for place in self.found.iter().skip(before).take(PAGE_SIZE) {
                let product = floor.catalog.listing(*place as usize);
                add(Kind::Product(*place), product.asin.into());
                add(Kind::Plain, product.title.into());
                add(Kind::Plain, product.price_tag.into());
            }
            return nodes;
        }
        add(Kind::Button, "< Prev".into());
        let Some(product) = product else { return nodes };
        match self.place {
            Place::Sub(SubPage::Description) => {
                add(Kind::Plain, product.description.into());
            }
            Place::Sub(SubPage::Features) => {
                for point in &product.bullet_points {
                    add(Kind::Plain, format!(" {point}").into());
                }
            }
            Place::Sub(SubPage::Reviews | SubPage::Attributes) => {}
            _ => {
                for option in &product.options {
                    add(Kind::Plain, option.name.into());
                    for value in &option.values {
                        add(Kind::Value(option.name), (*value).into());
                    }
                }
                add(Kind::Plain, product.title.into());
                add(Kind::Plain, format!("Price: {}", product.price_tag).into());
                add(Kind::Plain, "Rating: N.A.".into());
                for button in ["Description", "Features", "Reviews", "Buy Now"] {
                    add(Kind::Button, button.into());
                }
            }
        }
        nodes
    }

    fn rich(&self, nodes: &[Node<'_>], fidelity: Fidelity) -> String {
        let (mut out, mut clicked) = (String::new(), Vec::new());
        let options = self.options(json);
        let words = self.keywords.join("+");
        let is_chosen = |name: &str, value: &str| match fidelity {
            Fidelity::Sane => self.chosen.iter().any(|(n, v)| n == name && v == value),
            // Anywhere in the address, where other than ASCII characters and quotes are escaped.
            Fidelity::Original => {
                let quoted = format!("\"{value}\"");
                options.contains(&quoted) || words.contains(&quoted)
            }
        };
        for Node { kind, text } in nodes {
            let (lead, button) = match *kind {
                Kind::Plain => {
                    let _ = writeln!(out, "{text}");
                    continue;
                }
                Kind::Button => ("", "button"),
                Kind::Value(name) if is_chosen(name, text) => {
                    clicked.push(text);
                    ("  ", "clicked button")
                }
                Kind::Value(_) => ("  ", "button"),
                Kind::Product(product) if self.visited.contains(&product) => {
                    ("\n", "clicked button")
                }
                Kind::Product(_) => ("\n", "button"),
            };
            let _ = writeln!(out, "{lead}[{button}] {text} [{button}_]");
        }
        let told = clicked.iter().rev().map(|value| format!("You have clicked {value}.\n"));
        told.chain([out]).collect()
    }
}

fn is_clicked(node: &Node<'_>, button: &str) -> bool {
    match node.kind {
        Kind::Plain => false,
        Kind::Value(_) => node.text == button,
        Kind::Button | Kind::Product(_) => node.text.to_lowercase() == button,
    }
}

/// A text as the original's HTML parser keeps it: white space alone becomes one character, and a
/// lone line break is dropped.
fn node<'a>(kind: Kind<'a>, text: Cow<'a, str>) -> Option<Node<'a>> {
    let is_blank = text.chars().all(|c| matches!(c, ' ' | '\n' | '\t' | '\x0c' | '\r'));
    match is_blank {
        _ if text.is_empty() => None,
        true if text.contains('\n') => None,
        true => Some(Node { kind, text: " ".into() }),
        false => Some(Node { kind, text }),
    }
}

/// The texts of the last page. The simulated server leaves out most of what it names.
fn done_texts<'a>(
    product: Option<&Product<'a>>,
    chosen: &[(String, String)],
    reward: f64,
) -> Vec<Cow<'a, str>> {
    let mut sorted = chosen.to_vec();
    sorted.sort();
    let options: Vec<String> =
        sorted.iter().map(|(name, value)| format!("{}: {}", html(name), html(value))).collect();
    let mut texts: Vec<Cow<'a, str>> = [
        "Thank you for shopping with us!",
        "Your code: ",
        "None",
        " (Paste it in your MTurk interface.)",
        "Purchased",
        "asin",
    ]
    .map(Cow::from)
    .to_vec();
    texts.push(product.map_or("", |product| product.asin).into());
    texts.extend(["options".into(), format!("{{{}}}", options.join(", ")).into()]);
    for name in ["attrs", "category", "query", "product category"] {
        texts.extend([name.into(), "None".into()]);
    }
    texts.extend(
        [
            "Target",
            "asin",
            "options",
            "attrs",
            "price upper",
            "instuction text",
            "category",
            "product category",
            "query",
            "Goal ",
            "None",
            "Reward",
            "Your score (min 0.0, max 1.0)",
        ]
        .map(Cow::from),
    );
    texts.push(format!("{reward:?}").into());
    texts.extend(["Reward Details ", "None"].map(Cow::from));
    texts
}

/// JSON that can stand in a page: what HTML would read as its own is escaped.
fn html(text: &str) -> String {
    json(text)
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\'', "\\u0027")
}
