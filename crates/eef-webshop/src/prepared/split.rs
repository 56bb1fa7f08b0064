//! Splits that share neither goal products nor instructions.

use std::collections::BTreeMap;

use eef_core::{Seed, Split};

use crate::error::WebShopError;
use crate::goal::Goal;

/// What an instruction asks, whatever it may cost: two that differ in the limit alone are the same
/// task to whoever learns them.
fn asked(instruction: &str) -> String {
    let text = instruction.split(", and price lower than").next();
    text.unwrap_or_default().trim().to_lowercase()
}

/// Checks that no two splits share a goal product, or an instruction apart from its price limit.
pub(super) fn check_disjoint(goals: &[(Split, Goal)]) -> Result<(), WebShopError> {
    let mut split_of: BTreeMap<(&'static str, String), Split> = BTreeMap::new();
    for (split, goal) in goals {
        let instruction = asked(&goal.instruction_text);
        for (what, value) in [("product", goal.asin.clone()), ("instruction", instruction)] {
            let first = *split_of.entry((what, value.clone())).or_insert(*split);
            if first != *split {
                return Err(WebShopError::Leak { first, second: *split, what, value });
            }
        }
    }
    Ok(())
}

/// Assigns goals to splits: those that share a product, or an instruction apart from its price
/// limit, stay together. The test split is filled first, then validation; the rest is for training.
/// Each split's goals come in a seeded order, at most `max_per_split` of them.
pub(super) fn assign(
    goals: Vec<Goal>,
    validation_fraction: f64,
    test_fraction: f64,
    max_per_split: usize,
    seed: Seed,
) -> Vec<(Split, Goal)> {
    let n_goals = goals.len() as f64;
    let mut groups = group(goals);
    seed.derive("groups", 0).rng().shuffle(&mut groups);
    let mut splits: BTreeMap<Split, Vec<Goal>> = BTreeMap::new();
    for members in groups {
        let is_short = |split, fraction: f64| {
            let n = splits.get(&split).map_or(0, Vec::len);
            // Where a split holds all it may, further goals serve better elsewhere.
            (n as f64) < n_goals * fraction && n < max_per_split
        };
        let split = if is_short(Split::Test, test_fraction) {
            Split::Test
        } else if is_short(Split::Validation, validation_fraction) {
            Split::Validation
        } else {
            Split::Train
        };
        splits.entry(split).or_default().extend(members);
    }
    let mut assigned = Vec::new();
    for (split, mut goals) in splits {
        seed.derive(split.name(), 0).rng().shuffle(&mut goals);
        goals.truncate(max_per_split);
        assigned.extend(goals.into_iter().map(|goal| (split, goal)));
    }
    assigned
}

/// The connected components of goals under "same product" and "same instruction", in the order of
/// their first goals.
fn group(goals: Vec<Goal>) -> Vec<Vec<Goal>> {
    let mut parents: Vec<usize> = (0..goals.len()).collect();
    let mut first_with: BTreeMap<(bool, String), usize> = BTreeMap::new();
    for (number, goal) in goals.iter().enumerate() {
        for key in [(false, goal.asin.clone()), (true, asked(&goal.instruction_text))] {
            let other = *first_with.entry(key).or_insert(number);
            let (a, b) = (root(&mut parents, number), root(&mut parents, other));
            parents[a.max(b)] = a.min(b);
        }
    }
    let mut groups: BTreeMap<usize, Vec<Goal>> = BTreeMap::new();
    for (number, goal) in goals.into_iter().enumerate() {
        groups.entry(root(&mut parents, number)).or_default().push(goal);
    }
    groups.into_values().collect()
}

fn root(parents: &mut [usize], mut number: usize) -> usize {
    while parents[number] != number {
        parents[number] = parents[parents[number]];
        number = parents[number];
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Product;
    use proptest::prelude::*;

    fn goal(product: usize, text: usize) -> Goal {
        let product = Product {
            asin: format!("B{product}"),
            title: String::new(),
            description: String::new(),
            bullet_points: Vec::new(),
            price_tag: String::new(),
            price: 1.0,
            options: Vec::new(),
            attributes: vec!["red".to_owned()],
            category: String::new(),
            query: String::new(),
            product_category: String::new(),
        };
        Goal::for_product(&product, format!("text {text}"))
    }

    proptest! {
        #[test]
        fn splits_are_disjoint_and_nothing_is_lost(
            pairs in prop::collection::vec((0..60_usize, 0..60_usize), 0..80),
            seed in any::<u64>(),
        ) {
            let goals: Vec<_> = pairs.iter().map(|(a, b)| goal(*a, *b)).collect();
            let assigned = assign(goals, 0.2, 0.3, usize::MAX, Seed::new(seed));
            prop_assert_eq!(assigned.len(), pairs.len());
            prop_assert!(check_disjoint(&assigned).is_ok());
        }
    }

    #[test]
    fn a_shared_product_or_instruction_is_found() {
        let leak = |a, b| check_disjoint(&[(Split::Train, a), (Split::Test, b)]).unwrap_err();
        let message = leak(goal(1, 1), goal(1, 2)).to_string();
        assert!(message.starts_with("train and test share the product `B1`"), "{message}");
        let message = leak(goal(1, 1), goal(2, 1)).to_string();
        assert!(message.contains("instruction `text 1`"), "{message}");
    }
}
