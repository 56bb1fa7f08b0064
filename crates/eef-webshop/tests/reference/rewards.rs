//! Rewards where no table says which words of a title are nouns.

use std::collections::BTreeMap;

use eef_webshop::raw::Prices;
use eef_webshop::{Goal, reward};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct RewardCase {
    goal: Value,
    purchased_asin: String,
    options: BTreeMap<String, String>,
    price: f64,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    reward: f64,
}

#[test]
fn rewards_without_the_noun_table_are_mostly_those_of_the_original() {
    let Some(cases) = super::lines::<RewardCase>("reference/webshop/reward_cases.jsonl") else {
        return;
    };
    let catalog = super::catalog(&Prices::new()).unwrap();
    let mut n_different = 0;
    for mut case in cases {
        case.goal["weight"] = json!(1.0);
        let goal: Goal = serde_json::from_value(case.goal).unwrap();
        let product = catalog.get(&case.purchased_asin).unwrap();
        let chosen: Vec<&str> = case.options.values().map(String::as_str).collect();
        let found = reward(&goal, &product, &chosen, case.price);
        n_different += usize::from(found.reward.get() != case.expected.reward);
    }
    eprintln!("other rewards without the noun table: {n_different}");
    assert!(n_different <= 80, "{n_different} rewards differ");
}
