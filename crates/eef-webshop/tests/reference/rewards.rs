//! Likeness, colours and rewards.

use std::collections::BTreeMap;

use eef_webshop::raw::{NounTable, Prices};
use eef_webshop::{Goal, GoalOptions, normalize_color, reward, token_set_ratio};
use serde::Deserialize;

#[derive(Deserialize)]
struct LikenessCase {
    a: String,
    b: String,
    token_set_ratio: u32,
}

#[derive(Deserialize)]
struct ColorCase {
    s: String,
    normalized: String,
}

#[derive(Deserialize)]
struct RewardCase {
    family: String,
    goal: RecordedGoal,
    purchased_asin: String,
    options: BTreeMap<String, String>,
    price: f64,
    expected: Expected,
}

#[derive(Deserialize)]
struct RecordedGoal {
    asin: String,
    category: String,
    query: String,
    name: String,
    product_category: String,
    instruction_text: String,
    attributes: Vec<String>,
    price_upper: f64,
    goal_options: GoalOptions,
}

#[derive(Deserialize)]
struct Expected {
    reward: f64,
    r_type: f64,
    title_score: f64,
    num_attr_matches: Option<usize>,
    num_option_matches: Option<usize>,
}

#[test]
fn likeness_is_that_of_the_original() {
    let Some(cases) = super::lines::<LikenessCase>("reference/webshop/fuzz_cases.jsonl") else {
        return;
    };
    let mut n_different = 0;
    for case in &cases {
        let found = token_set_ratio(&case.a, &case.b);
        if found != case.token_set_ratio {
            n_different += 1;
            eprintln!("{:?} and {:?}: {found}, not {}", case.a, case.b, case.token_set_ratio);
        }
    }
    eprintln!("pairs of texts with another likeness: {n_different} of {}", cases.len());
    assert_eq!(n_different, 0);
}

#[test]
fn colours_are_those_of_the_original() {
    let Some(cases) = super::lines::<ColorCase>("reference/webshop/color_cases.jsonl") else {
        return;
    };
    for case in &cases {
        assert_eq!(normalize_color(&case.s), case.normalized, "{}", case.s);
    }
}

#[test]
fn rewards_with_the_noun_table_are_those_of_the_original() {
    let table = "data/webshop/title_nouns.en_core_web_sm-3.6.0.json";
    let Some(table) = super::json::<NounTable>(table) else {
        return;
    };
    let n_different = count_different(&table, true);
    assert_eq!(n_different, 0);
}

#[test]
fn rewards_without_the_noun_table_are_mostly_those_of_the_original() {
    if super::shared().is_some() {
        let n_different = count_different(&NounTable::new(), false);
        assert!(n_different <= 80, "{n_different} rewards differ");
    }
}

fn count_different(table: &NounTable, tell: bool) -> usize {
    let catalog = super::catalog(&Prices::new()).unwrap();
    let cases: Vec<RewardCase> = super::lines("reference/webshop/reward_cases.jsonl").unwrap();
    let mut n_different = 0;
    for (number, case) in cases.iter().enumerate() {
        let goal = &case.goal;
        let goal = Goal {
            asin: goal.asin.clone(),
            category: goal.category.clone(),
            query: goal.query.clone(),
            name: goal.name.clone(),
            product_category: goal.product_category.clone(),
            instruction_text: goal.instruction_text.clone(),
            attributes: goal.attributes.clone(),
            price_upper: goal.price_upper,
            goal_options: goal.goal_options.clone(),
            weight: 1.0,
        };
        let product = catalog.get(&case.purchased_asin).unwrap();
        let chosen: Vec<&str> = case.options.values().map(String::as_str).collect();
        let found = reward(&goal, product, &chosen, case.price, table);
        let expected = &case.expected;
        let is_same = found.reward.get() == expected.reward
            && found.type_factor == expected.r_type
            && (!tell || found.title_score == expected.title_score)
            && expected.num_attr_matches.is_none_or(|n| n == found.n_attributes)
            && expected.num_option_matches.is_none_or(|n| n == found.n_options);
        if !is_same {
            n_different += 1;
            if tell {
                eprintln!("case {number} ({}): {found:?}, not {}", case.family, expected.reward);
            }
        }
    }
    let with = if table.is_empty() { "without" } else { "with" };
    eprintln!("other rewards {with} the noun table: {n_different} of {}", cases.len());
    n_different
}
