//! The texts that an agent sees, as AgentLite prints them.
//!
//! The spaces and line breaks are part of the format: teachers parse these texts, tokenizers are
//! trained on them, and recordings of the original are compared with them byte for byte.

use std::fmt::Write as _;

use crate::catalog::{Listing, Product};

/// Products on one page of results.
pub const PAGE_SIZE: usize = 3;
/// The last observation of an episode that ends with a purchase.
pub const FINISHED: &str = "shopping is finished.";
/// What answers a reply that is no action. The stray quotation mark is AgentLite's.
pub const WRONG_ACTION: &str =
    "\"This is the wrong action to call. Please check your available action list.";
/// What answers a thought.
pub const OK: &str = "OK";
/// The page that an episode starts on.
pub const INITIAL_PAGE: &str = "Let us begin shopping \n[Search]";
/// What answers a search where there is no search bar.
pub const NO_SEARCH: &str = "There is no [Search] button, you should click the [Back to Search] \
     button first to search something ";

/// What AgentBoard answers a click with that the page does not offer, before that page.
pub const NOT_SHOWN: &str = "You can only click the button showed in the observation. Elements \
     within square brackets (like [Buy Now]) indicate clickable buttons or links. The recent \
     observation is: \n";
/// What AgentBoard answers a turn beyond its pages of results with, before the page.
pub const PAGE_LIMIT: &str = "The page number is limited to 5, please choose another action. The \
     recent observation is: \n";
/// What AgentBoard answers a reply with that is no action.
pub const WRONG_FORMAT: &str = "Incorrect action format. Please use the correct action format \
     following:\nAvailable Actions:\n\nclick[something]: Engage with specific buttons or links.\n\
     search[something]: Seek specific data on the website. Use this only if a [Search] button \
     appears in the observation.\nNote: If you wish to search and there is no [Search] button, \
     click the [Back to Search] button instead. ";
/// What AgentBoard shows at the end of an episode that earns everything.
pub const SUCCESS: &str = "Result: [Success]";
/// What AgentBoard shows at the end of any other.
pub const FAILURE: &str = "Result: [False]";

/// A page of a product's details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubPage {
    /// The description.
    Description,
    /// The bullet points.
    Features,
    /// Always empty.
    Reviews,
    /// Attributes and categories: what the reward compares. No page shows its button, which only
    /// [`Fidelity::Original`](crate::Fidelity::Original) lets one click.
    Attributes,
}

impl SubPage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Description, Self::Features, Self::Reviews, Self::Attributes];

    /// The text of its button.
    pub fn name(self) -> &'static str {
        match self {
            Self::Description => "Description",
            Self::Features => "Features",
            Self::Reviews => "Reviews",
            Self::Attributes => "Attributes",
        }
    }
}

/// A page as the agent sees it: `WEB PAGE: {body}`.
pub fn web_page(body: &str) -> String {
    format!("WEB PAGE: {{{body}}}")
}

/// The body of a page of results: the number of the page and at most three products.
pub fn results_page<'a>(number: i64, products: impl IntoIterator<Item = Listing<'a>>) -> String {
    let mut body = format!("\n[Back to Search] \nPage {number} (Total results: 15) ");
    if number > 1 {
        body.push_str("\n[< Prev] ");
    }
    body.push_str("\n[Next >] ");
    for product in products {
        let _ = write!(body, "\n[{}] ", product.asin);
        // An empty title makes no text node in the original, so no line either.
        if !product.title.is_empty() {
            let _ = write!(body, "\n{} ", product.title);
        }
        let _ = write!(body, "\n{} ", product.price_tag);
    }
    body
}

/// The body of a product's page; `is_chosen` tells which values stand in double brackets.
pub fn item_page(product: &Product<'_>, is_chosen: impl Fn(&str) -> bool) -> String {
    let mut body = String::from("\n[Back to Search] \n[< Prev] ");
    for option in &product.options {
        let _ = write!(body, "\n{} ", option.name);
        for value in &option.values {
            if is_chosen(value) {
                let _ = write!(body, "[[{value}]]");
            } else {
                let _ = write!(body, "[{value}]");
            }
        }
    }
    if !product.title.is_empty() {
        let _ = write!(body, "\n{} ", product.title);
    }
    let _ = write!(body, "\nPrice: {} \nRating: N.A. ", product.price_tag);
    body.push_str("\n[Description] \n[Features] \n[Reviews] \n[Buy Now] ");
    body
}

/// The body of a page of a product's details.
pub fn sub_page(product: &Product<'_>, page: SubPage) -> String {
    let mut body = String::from("\n[Back to Search] \n[< Prev] ");
    let mut line = |lead: &str, text: &str| {
        let is_blank = text.replace("\\n", "").chars().all(|c| matches!(c, '\n' | ' '));
        if !is_blank {
            let _ = write!(body, "\n{lead}{text} ");
        }
    };
    match page {
        SubPage::Description => line("", product.description),
        SubPage::Features => product.bullet_points.iter().for_each(|point| line(" ", point)),
        SubPage::Reviews => {}
        SubPage::Attributes => {
            product.attributes.iter().for_each(|attribute| line(" ", attribute));
            line("", product.category);
            line("", product.query);
            // The original's template is indented here, and the indentation is shown.
            line(&format!("\n{}", " ".repeat(28)), product.product_category);
        }
    }
    body
}

/// What answers a click on an option's value.
pub fn option_clicked(value: &str) -> String {
    format!("You have clicked {value}.")
}
