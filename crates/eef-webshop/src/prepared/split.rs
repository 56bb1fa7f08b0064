//! Splits: those that share neither goal products nor instructions, and the paper's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use eef_core::{Seed, Split};

use super::files::parse;
use crate::error::WebShopError;
use crate::goal::Goal;
use crate::python_random::shuffled;

/// Human goals of the whole of WebShop: the paper's ids are below.
const PAPER_GOALS: usize = 12_087;
/// The seed that the original shuffles its goals with.
const ORDER_SEED: u32 = 233;
/// The ids of the paper's validation goals. Its "2250-3000" without both ends, and with all other
/// ids for training, gives the counts of its Table 1: 11,338, and 2,835 of every fourth.
const PAPER_VALIDATION: std::ops::RangeInclusive<usize> = 2251..=2999;
/// AgentBoard's goals that the paper tests on: the first so many.
pub(super) const PAPER_TEST: usize = 251;

/// What an instruction asks, whatever it may cost: two that differ in the limit alone are the same
/// task to whoever learns them.
fn asked(instruction: &str) -> String {
    let text = instruction.split(", and price lower than").next();
    text.unwrap_or_default().trim().to_lowercase()
}

/// What two goals must not share across splits: the product, and what is asked.
fn keys(goal: &Goal) -> [(&'static str, String); 2] {
    [("product", goal.asin.clone()), ("instruction", asked(&goal.instruction_text))]
}

/// Checks that no two splits share a goal product, or an instruction apart from its price limit.
pub(super) fn check_disjoint(goals: &[(Split, Goal)]) -> Result<(), WebShopError> {
    let mut split_of: BTreeMap<(&'static str, String), Split> = BTreeMap::new();
    for (split, goal) in goals {
        for (what, value) in keys(goal) {
            let first = *split_of.entry((what, value.clone())).or_insert(*split);
            if first != *split {
                return Err(WebShopError::Leak { first, second: *split, what, value });
            }
        }
    }
    Ok(())
}

/// How many test goals share a product or an instruction with a training goal.
pub(crate) fn n_leaks<'a>(goals: impl Iterator<Item = (Split, &'a Goal)> + Clone) -> usize {
    let of = |wanted| goals.clone().filter(move |(split, _)| *split == wanted);
    let trained: BTreeSet<_> = of(Split::Train).flat_map(|(_, goal)| keys(goal)).collect();
    let is_known = |goal: &Goal| keys(goal).iter().any(|key| trained.contains(key));
    of(Split::Test).filter(|(_, goal)| is_known(goal)).count()
}

/// How many goals each split may have.
pub(super) struct Splits {
    pub(super) validation_fraction: f64,
    pub(super) test_fraction: f64,
    pub(super) max_per_split: usize,
}

/// Assigns goals to splits: those that share a product, or an instruction apart from its price
/// limit, stay together. The test split is filled first, then validation; the rest is for training.
/// Each split's goals come in a seeded order, at most `max_per_split` of them.
///
/// Where test goals are given they are the test split, in their order, and goals that share
/// something with them are left out; tells how many.
pub(super) fn without_leaks(
    mut goals: Vec<Goal>,
    test: Vec<Goal>,
    splits: &Splits,
    seed: Seed,
) -> (Vec<(Split, Goal)>, usize) {
    let n_before = goals.len();
    let tested: BTreeSet<_> = test.iter().flat_map(keys).collect();
    goals.retain(|goal| !keys(goal).iter().any(|key| tested.contains(key)));
    let n_shared = n_before - goals.len();
    let test_fraction = if test.is_empty() { splits.test_fraction } else { 0.0 };
    let mut assigned =
        assign(goals, splits.validation_fraction, test_fraction, splits.max_per_split, seed);
    assigned.extend(test.into_iter().map(|goal| (Split::Test, goal)));
    (assigned, n_shared)
}

fn assign(
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
    let mut first_with: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for (number, goal) in goals.iter().enumerate() {
        for key in keys(goal) {
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

/// The texts of `human_goals.json`.
pub(super) fn texts(path: &Path, text: &str) -> Result<Vec<String>, WebShopError> {
    parse(path, text, "a list of instructions")
}

/// The paper's splits of human goals, which come in the order of their products. Their ids are
/// their places in the original's shuffled order, or in `order`, which has all their texts.
pub(super) fn by_paper(
    human: Vec<Goal>,
    order: Option<Vec<String>>,
    test: Vec<Goal>,
    every_fourth: bool,
) -> Result<Vec<(Split, Goal)>, WebShopError> {
    let failed = |message: String| WebShopError::PaperSplit { message };
    let ids: Vec<usize> = match order {
        None if human.len() == PAPER_GOALS => {
            let mut ids = vec![0; human.len()];
            for (id, place) in shuffled(human.len(), ORDER_SEED).into_iter().enumerate() {
                ids[place] = id;
            }
            ids
        }
        None => {
            return Err(failed(format!(
                "its ids number the {PAPER_GOALS} human goals of all of WebShop's products, and \
                 these files give {}: give human_goals.json as the goals' order (--goal-order), or all \
                 products",
                human.len()
            )));
        }
        Some(order) => {
            let mut ids_of: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
            for (id, text) in order.iter().enumerate() {
                ids_of.entry(plain(text)).or_default().push_back(id);
            }
            let id = |goal: &Goal| {
                let next = ids_of.get_mut(&plain(&goal.instruction_text));
                next.and_then(VecDeque::pop_front).ok_or_else(|| {
                    let text = &goal.instruction_text;
                    failed(format!("the goals' order does not have the instruction `{text}`"))
                })
            };
            human.iter().map(id).collect::<Result<_, _>>()?
        }
    };
    let mut numbered: Vec<(usize, Goal)> = ids.into_iter().zip(human).collect();
    numbered.sort_by_key(|(id, _)| *id);
    let split = |(id, goal): (usize, Goal)| {
        if PAPER_VALIDATION.contains(&id) {
            Some((Split::Validation, goal))
        } else {
            (!every_fourth || id % 4 == 0).then_some((Split::Train, goal))
        }
    };
    let test = test.into_iter().map(|goal| (Split::Test, goal));
    Ok(numbered.into_iter().filter_map(split).chain(test).collect())
}

/// An instruction as `human_goals.json` has it: without price limit, apostrophes, full stops at its
/// ends, and differences in case and white space.
fn plain(instruction: &str) -> String {
    let text = asked(instruction).replace('\'', "");
    text.trim_matches('.').split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Product;
    use proptest::prelude::*;

    fn goal(product: usize, text: usize) -> Goal {
        let asin = format!("B{product}");
        let product = Product { asin: &asin, attributes: vec!["red"], ..Product::default() };
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
