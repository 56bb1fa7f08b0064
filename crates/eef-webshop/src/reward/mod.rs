//! What a purchase earns.

mod color;
mod combinations;
mod nouns;
mod similarity;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;

use eef_core::Reward;

pub use color::normalize_color;
pub(crate) use combinations::{best_reward, last_reward};
use similarity::is_more_alike;
pub use similarity::token_set_ratio;

use crate::catalog::Product;
use crate::goal::{Goal, GoalOptions};
use crate::python::repr;

/// Texts that are more alike than this count as the same.
const THRESHOLD: u32 = 85;

/// A reward and what it consists of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RewardDetail {
    /// The whole.
    pub reward: Reward,
    /// Whether it is the right kind of thing: 0, 0.1, 0.5 or 1; multiplies the rest.
    pub type_factor: f64,
    /// The share of the goal's title nouns that the product has.
    pub title_score: f64,
    /// Attributes of the goal that the product has.
    pub n_attributes: usize,
    /// Options of the goal that were chosen.
    pub n_options: usize,
    /// Whether the price is within the limit.
    pub is_affordable: bool,
}

/// What buying a product with the chosen option values earns for a goal.
///
/// `price` is in dollars. Source: `get_reward` of the original, with thefuzz on difflib.
pub fn reward(goal: &Goal, product: &Product<'_>, chosen: &[&str], price: f64) -> RewardDetail {
    let bought = nouns::of_product(product);
    let wanted = nouns::of_goal(goal);
    let title_score = nouns::title_score(&bought, &wanted);
    let type_factor = type_factor(goal, product, title_score);
    let texts = Texts::default();
    let has = |attribute: &&String| has_attribute(product, &texts, attribute);
    let n_attributes = goal.attributes.iter().filter(has).count();
    let n_options = n_options_chosen(&goal.goal_options, chosen);
    let is_affordable = price <= goal.price_upper;
    let detail = RewardDetail {
        reward: Reward::ZERO,
        type_factor,
        title_score,
        n_attributes,
        n_options,
        is_affordable,
    };
    detail.with_options(goal, n_options)
}

impl RewardDetail {
    /// The same purchase with another number of the goal's options.
    fn with_options(mut self, goal: &Goal, n_options: usize) -> Self {
        let n_met = self.n_attributes + n_options + usize::from(self.is_affordable);
        let n_asked = goal.attributes.len() + goal.goal_options.len() + 1;
        let value = n_met as f64 / n_asked as f64 * self.type_factor;
        self.n_options = n_options;
        self.reward = Reward::new(value).unwrap_or_default();
        self
    }
}

fn type_factor(goal: &Goal, product: &Product<'_>, title_score: f64) -> f64 {
    let parts =
        |path: &str| path.split('›').map(|part| part.trim().to_owned()).collect::<BTreeSet<_>>();
    let n_common =
        parts(product.product_category).intersection(&parts(&goal.product_category)).count();
    let is_same_kind = product.query == goal.query || n_common >= 2 || title_score > 0.2;
    // The last rules override the first, even for products of the same query.
    if title_score == 0.0 {
        0.0
    } else if title_score < 0.1 {
        0.1
    } else if is_same_kind {
        1.0
    } else {
        0.5
    }
}

/// A product's texts in lower case, made when they are first looked at.
#[derive(Default)]
struct Texts {
    title: OnceCell<String>,
    bullet_points: OnceCell<String>,
    description: OnceCell<String>,
}

fn has_attribute(product: &Product<'_>, texts: &Texts, attribute: &str) -> bool {
    let alike = |other: &&str| is_more_alike(other, attribute, THRESHOLD);
    let lower_points = || product.bullet_points.join(" ").to_lowercase();
    product.attributes.iter().any(alike)
        || texts.title.get_or_init(|| product.title.to_lowercase()).contains(attribute)
        || texts.bullet_points.get_or_init(lower_points).contains(attribute)
        || texts.description.get_or_init(|| product.description.to_lowercase()).contains(attribute)
}

fn n_options_chosen(goal: &GoalOptions, chosen: &[&str]) -> usize {
    let wanted = wanted_options(goal);
    wanted.iter().filter(|wanted| chosen.iter().any(|value| is_met(wanted, value))).count()
}

/// What a chosen value is compared with, for each option of a goal.
fn wanted_options(goal: &GoalOptions) -> Vec<Cow<'_, str>> {
    match goal {
        GoalOptions::Values(values) => {
            values.iter().map(|value| Cow::Borrowed(normalize_color(value))).collect()
        }
        // The original compares the value with the printed pair of name and value, so the name is
        // one more word, and a colour is recognised only where it is the whole value.
        GoalOptions::Named(pairs) => pairs
            .iter()
            .map(|(name, value)| match color::color_among([name, value]) {
                Some(color) => Cow::Borrowed(color),
                None => Cow::Owned(format!("({}, {})", repr(name), repr(value))),
            })
            .collect(),
    }
}

fn is_met(wanted: &str, chosen: &str) -> bool {
    is_more_alike(normalize_color(chosen), wanted, THRESHOLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_met_by_its_colour_or_by_likeness() {
        let values = GoalOptions::Values(vec!["dark blue".to_owned(), "x-large".to_owned()]);
        assert_eq!(n_options_chosen(&values, &["sky blue", "large"]), 2);
        assert_eq!(n_options_chosen(&values, &["red", "small"]), 0);
        let named = GoalOptions::Named(vec![("color".to_owned(), "red braided".to_owned())]);
        assert_eq!(n_options_chosen(&named, &["red braided"]), 1);
        assert_eq!(n_options_chosen(&named, &["blue braided"]), 0);
        let plain = GoalOptions::Named(vec![("color".to_owned(), "red".to_owned())]);
        assert_eq!(n_options_chosen(&plain, &["bright red"]), 1);
    }
}
