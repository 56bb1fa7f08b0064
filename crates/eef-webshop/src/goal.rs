//! What an agent is asked to buy.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use eef_core::{Rng, Seed};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::catalog::{Catalog, Product};
use crate::error::WebShopError;
use crate::raw::{Annotation, Annotations, HumanInstructions};

/// A price limit that no product reaches: the goal names none.
pub const NO_PRICE_LIMIT: f64 = 1_000_000.0;

/// A shopping goal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// The product that it was written for.
    pub asin: String,
    /// That product's department.
    pub category: String,
    /// That product's query.
    pub query: String,
    /// That product's title.
    pub name: String,
    /// That product's path in the shop's tree.
    pub product_category: String,
    /// What the agent is told.
    pub instruction_text: String,
    /// The attributes asked for; never empty in a shop.
    pub attributes: Vec<String>,
    /// The most that may be paid, in dollars.
    pub price_upper: f64,
    /// The option values asked for.
    pub goal_options: GoalOptions,
    /// How likely the original draws it.
    pub weight: f64,
    /// The nouns of that product's title; where there are none they are estimated. A shop takes
    /// them from its catalogue.
    #[serde(skip)]
    pub nouns: Option<Vec<String>>,
}

/// The option values that a goal asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum GoalOptions {
    /// Values, as in goals written by people.
    Values(Vec<String>),
    /// Names with values, as in synthetic goals, in order.
    Named(Vec<(String, String)>),
}

impl GoalOptions {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Named(pairs) => pairs.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values, in order.
    pub fn values(&self) -> Vec<&str> {
        match self {
            Self::Values(values) => values.iter().map(String::as_str).collect(),
            Self::Named(pairs) => pairs.iter().map(|(_, value)| value.as_str()).collect(),
        }
    }
}

impl Goal {
    /// A goal for a product, without options, price limit and weight.
    pub fn for_product(product: &Product<'_>, instruction: impl Into<String>) -> Self {
        Self {
            asin: product.asin.to_owned(),
            category: product.category.to_owned(),
            query: product.query.to_owned(),
            name: product.title.to_owned(),
            product_category: product.product_category.to_owned(),
            instruction_text: instruction.into(),
            attributes: product.attributes.iter().map(|&text| text.to_owned()).collect(),
            price_upper: NO_PRICE_LIMIT,
            goal_options: GoalOptions::Values(Vec::new()),
            weight: 1.0,
            nouns: None,
        }
    }

    /// Reads goals in AgentBoard's layout (`data/webshop/test.jsonl`): one JSON object a line.
    ///
    /// # Errors
    /// The number of the line, from 1, and what is wrong with it.
    pub fn from_agentboard(text: &str) -> Result<Vec<Self>, (usize, serde_json::Error)> {
        #[derive(Deserialize)]
        struct Line {
            goal: String,
            additional_info: Info,
        }
        #[derive(Deserialize)]
        struct Info {
            product_id: String,
            category: String,
            query: String,
            product_name: String,
            product_category: String,
            attributes: Vec<String>,
            price_upper: f64,
            product_options: GoalOptions,
            weight: f64,
        }
        let read = |(number, line)| {
            let Line { goal, additional_info: info } =
                serde_json::from_str(line).map_err(|error| (number + 1, error))?;
            Ok(Self {
                asin: info.product_id,
                category: info.category,
                query: info.query,
                name: info.product_name,
                product_category: info.product_category,
                instruction_text: goal,
                attributes: info.attributes,
                price_upper: info.price_upper,
                goal_options: info.product_options,
                weight: info.weight,
                nouns: None,
            })
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(read).collect()
    }

    /// Takes the nouns of its title from the catalogue.
    pub(crate) fn with_nouns_of(mut self, catalog: &Catalog) -> Self {
        let product = catalog.get(&self.asin);
        self.nouns = product.and_then(|product| owned(product.nouns.as_deref())).or(self.nouns);
        self
    }

    /// Checks what rewards rely on.
    pub(crate) fn check(&self, number: usize, catalog: &Catalog) -> Result<(), WebShopError> {
        let bad =
            |message| WebShopError::BadGoal { goal: number, asin: self.asin.clone(), message };
        if catalog.position(&self.asin).is_none() {
            return Err(WebShopError::UnknownProduct { goal: number, asin: self.asin.clone() });
        }
        if self.attributes.is_empty() {
            return Err(bad("it asks for no attribute; at least one is needed"));
        }
        if self.price_upper.is_nan() || self.price_upper <= 0.0 {
            return Err(bad("its price limit must be above 0"));
        }
        Ok(())
    }
}

/// The goals that people wrote, in product order; price limits are drawn from the seed.
///
/// Source: `get_human_goals` of the original.
pub fn human_goals(catalog: &Catalog, instructions: &HumanInstructions, seed: Seed) -> Vec<Goal> {
    let mut goals = Vec::new();
    for product in catalog.products() {
        let mut rng = seed.derive("human price limit", 0).derive(product.asin, 0).rng();
        for human in instructions.get(product.asin).into_iter().flatten() {
            if human.instruction_attributes.is_empty() {
                continue;
            }
            let price_upper = draw_price_limit(product.price, &mut rng);
            let text = human.instruction.trim_matches('.');
            let mut goal = Goal::for_product(&product, with_price_limit(text, price_upper));
            goal.attributes.clone_from(&human.instruction_attributes);
            goal.price_upper = price_upper;
            goal.goal_options = GoalOptions::Values(human.instruction_options.clone());
            goals.push(goal);
        }
    }
    goals
}

/// The goals made from attributes and every combination of options, in product order, at most
/// `max_per_product` of each product (a seeded choice).
///
/// Source: `get_synthetic_goals` of the original; weights are those of the whole set.
pub fn synthetic_goals(
    catalog: &Catalog,
    annotations: &Annotations,
    max_per_product: usize,
    seed: Seed,
) -> Vec<Goal> {
    let of =
        |(place, product): (usize, Product<'_>)| Asked::of(place, annotations.get(product.asin)?);
    let asked: Vec<Asked> = catalog.products().enumerate().filter_map(of).collect();
    synthetic_goals_of(catalog, &asked, max_per_product, usize::MAX, seed)
}

/// What a synthetic instruction asks of a product.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The product's place in the catalogue.
    place: usize,
    text: String,
    attributes: Vec<String>,
}

impl Asked {
    /// Where an annotation has an instruction that asks for an attribute.
    pub(crate) fn of(place: usize, annotation: &Annotation) -> Option<Self> {
        let (text, attributes) =
            (annotation.instruction.clone()?, annotation.instruction_attributes.clone()?);
        (!attributes.is_empty()).then_some(Self { place, text, attributes })
    }
}

/// The same from instructions in product order. Where there would be more than `n_wanted`, a
/// seeded choice of the products goes without.
pub(crate) fn synthetic_goals_of(
    catalog: &Catalog,
    asked: &[Asked],
    max_per_product: usize,
    n_wanted: usize,
    seed: Seed,
) -> Vec<Goal> {
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    let mut n_combinations = Vec::with_capacity(asked.len());
    for asked in asked {
        let product = catalog.product(asked.place);
        let n = product.options.iter().try_fold(1_usize, |n, o| n.checked_mul(o.values.len()));
        n_combinations.push(n.unwrap_or(0));
        for attribute in &asked.attributes {
            *counts.entry(attribute).or_default() += n.unwrap_or(0) as f64;
        }
    }
    let mut goals = Vec::new();
    for number in chosen_products(&n_combinations, max_per_product, n_wanted, seed) {
        let Asked { place, text, attributes } = &asked[number];
        let product = catalog.product(*place);
        let mut options: Vec<_> = product.options.iter().collect();
        options.sort_by_key(|option| option.name);
        let rng = &mut seed.derive("synthetic price limit", 0).derive(product.asin, 0).rng();
        let price_upper = draw_price_limit(product.price, rng);
        for number in choose(n_combinations[number], max_per_product, rng) {
            let mut rest = number;
            let mut chosen = Vec::with_capacity(options.len());
            for option in options.iter().rev() {
                let value = option.values[rest % option.values.len()];
                rest /= option.values.len();
                chosen.push((option.name.to_owned(), value.to_owned()));
            }
            chosen.reverse();
            let listed: Vec<_> = chosen.iter().map(|(n, v)| format!("{n}: {v}")).collect();
            let with = if listed.is_empty() { "" } else { " with " };
            let text = format!("{text}{with}{}", listed.join(", and "));
            let mut goal = Goal::for_product(&product, with_price_limit(&text, price_upper));
            goal.attributes.clone_from(attributes);
            goal.price_upper = price_upper;
            goal.goal_options = GoalOptions::Named(chosen);
            goals.push(goal);
        }
    }
    for goal in &mut goals {
        let weights = goal.attributes.iter().filter_map(|a| counts.get(a.as_str()));
        goal.weight = weights.map(|n| 1.0 / n).sum::<f64>() / goal.attributes.len() as f64;
    }
    goals
}

/// Which products get goals, in rising order, so that there are no more than wanted.
fn chosen_products(
    n_combinations: &[usize],
    max_per_product: usize,
    n_wanted: usize,
    seed: Seed,
) -> Vec<usize> {
    let n_goals = |number: &usize| n_combinations[*number].min(max_per_product);
    let mut numbers: Vec<usize> = (0..n_combinations.len()).collect();
    if numbers.iter().map(n_goals).sum::<usize>() > n_wanted {
        seed.derive("products with goals", 0).rng().shuffle(&mut numbers);
        let mut n_left = n_wanted;
        numbers.retain(|number| {
            let fits = n_goals(number) <= n_left;
            n_left -= if fits { n_goals(number) } else { 0 };
            fits
        });
        numbers.sort_unstable();
    }
    numbers
}

/// Reads AgentBoard's goals.
pub(crate) fn goals_of(path: &Path, text: &str) -> Result<Vec<Goal>, WebShopError> {
    Goal::from_agentboard(text).map_err(|(line, error)| WebShopError::Record {
        path: path.to_owned(),
        record: line.to_string(),
        message: error.to_string(),
    })
}

fn owned(texts: Option<&[&str]>) -> Option<Vec<String>> {
    texts.map(|texts| texts.iter().map(|&text| text.to_owned()).collect())
}

/// `n` numbers below `total` in rising order; all of them where there are no more.
fn choose(total: usize, n: usize, rng: &mut Rng) -> Vec<usize> {
    if total <= n {
        return (0..total).collect();
    }
    // Floyd's sampling: n draws however large the total.
    let mut chosen = std::collections::BTreeSet::new();
    for j in total - n..total {
        let candidate = rng.below(j + 1);
        chosen.insert(if chosen.contains(&candidate) { j } else { candidate });
    }
    chosen.into_iter().collect()
}

/// The original's draw: two of the next four tens above the price, the larger one.
fn draw_price_limit(price: f64, rng: &mut Rng) -> f64 {
    let tens = (1..=99).map(|i| f64::from(i) * 10.0);
    let mut candidates: Vec<f64> = tens.filter(|ten| *ten > price).take(4).collect();
    if candidates.len() < 2 {
        return NO_PRICE_LIMIT;
    }
    rng.shuffle(&mut candidates);
    candidates[0].max(candidates[1])
}

/// An instruction with its price limit, where it has one.
pub fn with_price_limit(text: &str, price_upper: f64) -> String {
    if price_upper < NO_PRICE_LIMIT {
        format!("{text}, and price lower than {price_upper:.2} dollars")
    } else {
        text.to_owned()
    }
}

impl Serialize for GoalOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Values(values) => values.serialize(serializer),
            Self::Named(pairs) => serializer.collect_map(pairs.iter().map(|(n, v)| (n, v))),
        }
    }
}

impl<'de> Deserialize<'de> for GoalOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OptionsVisitor;
        impl<'de> de::Visitor<'de> for OptionsVisitor {
            type Value = GoalOptions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of option values, or values by option name")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<GoalOptions, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(GoalOptions::Values(values))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<GoalOptions, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(GoalOptions::Named(pairs))
            }
        }
        deserializer.deserialize_any(OptionsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_limit_is_one_of_the_next_tens() {
        let mut rng = Seed::new(3).rng();
        for _ in 0..200 {
            let limit = draw_price_limit(14.99, &mut rng);
            assert!([30.0, 40.0, 50.0].contains(&limit), "{limit}");
            assert_eq!(draw_price_limit(985.0, &mut rng), NO_PRICE_LIMIT);
        }
        assert_eq!(with_price_limit("a mug", 30.0), "a mug, and price lower than 30.00 dollars");
    }

    #[test]
    fn goal_options_keep_their_form_and_order() {
        for json in [r#"["red","s"]"#, r#"{"size":"s","color":"red"}"#] {
            let options: GoalOptions = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&options).unwrap(), json);
            assert_eq!(options.len(), 2);
        }
    }

    #[test]
    fn a_choice_is_complete_or_of_the_size_asked_for() {
        let mut rng = Seed::new(5).rng();
        assert_eq!(choose(3, 5, &mut rng), [0, 1, 2]);
        for _ in 0..50 {
            let chosen = choose(1000, 7, &mut rng);
            assert_eq!(chosen.len(), 7);
            assert!(chosen.is_sorted_by(|a, b| a < b) && chosen[6] < 1000);
        }
    }
}
