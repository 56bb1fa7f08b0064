//! What a product could earn, over all that can be chosen on its page.

use std::collections::BTreeSet;

use super::{RewardDetail, is_met, reward, wanted_options};
use crate::catalog::Product;
use crate::goal::Goal;

/// The most that a product can earn: over every combination of its options, without going through
/// them one by one.
pub(crate) fn best_reward(goal: &Goal, product: &Product<'_>) -> f64 {
    let wanted = wanted_options(&goal.goal_options);
    // Which options of the goal the values chosen so far can meet together.
    let mut met = BTreeSet::from([vec![false; wanted.len()]]);
    if !lacks_values(product) {
        for option in &product.options {
            let of_values: BTreeSet<Vec<bool>> = option
                .values
                .iter()
                .map(|value| wanted.iter().map(|wanted| is_met(wanted, value)).collect())
                .collect();
            met = met.iter().flat_map(|a| of_values.iter().map(move |b| union(a, b))).collect();
        }
    }
    let n_options = met.iter().map(|met| met.iter().filter(|is_met| **is_met).count()).max();
    let detail = unchosen(goal, product);
    detail.with_options(goal, n_options.unwrap_or_default()).reward.get()
}

/// What AgentBoard takes for that on an item's page: its maximum starts anew with every
/// combination, so the last one counts, unless one earns everything.
pub(crate) fn last_reward(goal: &Goal, product: &Product<'_>) -> f64 {
    let best = best_reward(goal, product);
    if best >= 1.0 || lacks_values(product) {
        return best;
    }
    let last: Vec<&str> = product.options.iter().filter_map(|o| o.values.last().copied()).collect();
    reward(goal, product, &last, product.price).reward.get()
}

fn union(a: &[bool], b: &[bool]) -> Vec<bool> {
    a.iter().zip(b).map(|(a, b)| *a || *b).collect()
}

/// Whether there are no combinations because an option has no values.
fn lacks_values(product: &Product<'_>) -> bool {
    product.options.iter().any(|option| option.values.is_empty())
}

fn unchosen(goal: &Goal, product: &Product<'_>) -> RewardDetail {
    // Where there are no combinations the original takes the first price of a range.
    let price = if lacks_values(product) { product.first_price() } else { product.price };
    reward(goal, product, &[], price)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WebShop;
    use crate::catalog::ProductOption;
    use crate::goal::GoalOptions;

    /// Every combination, in the original's order.
    fn combinations<'a>(product: &Product<'a>) -> Vec<Vec<&'a str>> {
        product.options.iter().fold(vec![Vec::new()], |so_far, option| {
            let longer = |begun: &Vec<_>| {
                let with = |value| begun.iter().copied().chain([value]).collect();
                option.values.iter().copied().map(with).collect::<Vec<_>>()
            };
            so_far.iter().flat_map(longer).collect()
        })
    }

    #[test]
    fn the_best_and_the_last_are_those_of_going_through_all() {
        let shop = WebShop::sample().unwrap();
        let option = |name: &'static str, values: &[&'static str]| ProductOption {
            name,
            values: values.to_vec(),
        };
        let mut wide = shop.catalog().product(0);
        wide.options = vec![
            option("color", &["red", "sea blue", "light red", "plain"]),
            option("size", &["small", "red small", "12 oz"]),
            option("trim", &["blue", "none"]),
        ];
        let mut goals = shop.goals(eef_core::Split::Test).to_vec();
        goals.extend_from_slice(shop.goals(eef_core::Split::Train));
        let mut asks_much = goals[0].clone();
        asks_much.goal_options =
            GoalOptions::Values(["red", "blue", "small"].map(str::to_owned).to_vec());
        goals.push(asks_much);
        let (mut n_compared, mut n_differing) = (0, 0);
        for goal in &goals {
            for product in shop.catalog().products().chain([wide.clone()]) {
                let product = &product;
                let all: Vec<f64> = combinations(product)
                    .iter()
                    .map(|chosen| reward(goal, product, chosen, product.price).reward.get())
                    .collect();
                let best = all.iter().copied().fold(0.0, f64::max);
                assert_eq!(best_reward(goal, product), best);
                let last = if best >= 1.0 { best } else { *all.last().unwrap() };
                assert_eq!(last_reward(goal, product), last);
                n_compared += 1;
                n_differing += usize::from(last < best);
            }
        }
        assert!(n_compared > 30 && n_differing > 0, "{n_compared} {n_differing}");
    }

    #[test]
    fn an_option_without_values_leaves_the_first_price() {
        let shop = WebShop::sample().unwrap();
        let goal = &shop.goals(eef_core::Split::Test)[0];
        let mut product = shop.catalog().get(&goal.asin).unwrap();
        product.options = vec![ProductOption { name: "size", values: Vec::new() }];
        product.price = goal.price_upper + 1.0;
        let price_tag = format!("$1.0 to ${:?}", product.price);
        product.price_tag = &price_tag;
        let cheap = best_reward(goal, &product);
        product.options.clear();
        assert!(cheap > best_reward(goal, &product));
    }
}
