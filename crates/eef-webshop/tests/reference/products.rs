//! Products and goals.

use std::collections::{BTreeMap, BTreeSet};

use eef_core::{Seed, Split};
use eef_webshop::raw::{HumanInstructions, Prices};
use eef_webshop::{Goal, PrepareRequest, Purchase, WebShop, human_goals, prepare, synthetic_goals};
use serde_json::Value;

#[test]
fn products_are_cleaned_as_the_original_cleans_them() {
    let Some(catalog) = super::catalog(&Prices::new()) else {
        return;
    };
    let expected: Vec<Value> = super::lines("data/webshop/products_1000.jsonl").unwrap_or_default();
    assert_eq!(expected.len(), catalog.len());
    for (product, expected) in catalog.products().zip(&expected) {
        let options: BTreeMap<_, _> = product.options.iter().map(|o| (o.name, &o.values)).collect();
        let found = serde_json::json!({
            "asin": product.asin,
            "Title": product.title,
            "Description": product.description,
            "BulletPoints": product.bullet_points,
            "Price": product.price_tag,
            "options": options,
            "Attributes": product.attributes,
            "category": product.category,
            "query": product.query,
            "product_category": product.product_category,
        });
        for (key, value) in found.as_object().unwrap() {
            assert_eq!(value, &expected[key], "{} of {}", key, product.asin);
        }
    }
}

#[test]
fn goals_are_those_of_the_original_but_for_their_price_limits() {
    let Some(catalog) = super::catalog(&Prices::new()) else {
        return;
    };
    let annotations = super::annotations().unwrap();
    let goals = synthetic_goals(&catalog, &annotations, usize::MAX, Seed::new(0));
    let products: BTreeSet<_> = goals.iter().map(|goal| &goal.asin).collect();
    assert_eq!((goals.len(), products.len()), (6910, 415));

    let instructions: HumanInstructions =
        super::json("data/webshop/items_human_ins.subset13.json").unwrap();
    let expected: Vec<Goal> = super::json("data/webshop/human_goals_1000.json").unwrap();
    let found = human_goals(&catalog, &instructions, Seed::new(0));
    let without_limit = |goal: &Goal| {
        let text = goal.instruction_text.split(", and price lower than").next().unwrap().to_owned();
        Goal { instruction_text: text, price_upper: 1.0, ..goal.clone() }
    };
    let sorted = |goals: &[Goal]| {
        let mut goals: Vec<_> = goals.iter().map(without_limit).collect();
        goals.sort_by(|a, b| a.instruction_text.cmp(&b.instruction_text));
        goals
    };
    assert_eq!(expected.len(), 13);
    assert_eq!(sorted(&found), sorted(&expected));
}

#[test]
fn the_original_files_are_prepared_without_leaks() {
    let Some(shared) = super::shared() else {
        return;
    };
    let folder = shared.join("data/webshop");
    let request = PrepareRequest {
        human_goals: Some(folder.join("items_human_ins.subset13.json")),
        nouns: Some(folder.join("title_nouns.en_core_web_sm-3.6.0.json")),
        notice: Some(folder.join("LICENSE.WebShop.md")),
        ..PrepareRequest::new(
            folder.join("items_shuffle_1000.recovered.json"),
            folder.join("items_ins_v2_1000.json"),
        )
    };
    let prepared = tempfile::tempdir().unwrap();
    let report = prepare(&request, prepared.path(), &mut |_| {}).unwrap();
    assert_eq!((report.load.n_products, report.n_human_goals), (1000, 13));
    eprintln!("{report:?}");
    assert!(Split::ALL.iter().all(|split| report.n_goals[split] > 100), "{report:?}");
    // There is no leak by construction; buying what a goal was written for, with its
    // options, must earn everything, whatever the split.
    let shop = WebShop::open(prepared.path()).unwrap();
    let goals: Vec<_> = Split::ALL.into_iter().flat_map(|split| shop.goals(split)).collect();
    let mut n_solved = 0;
    for goal in &goals {
        let product = shop.catalog().position(&goal.asin).unwrap();
        let values = goal.goal_options.values().into_iter().map(str::to_owned);
        let options = values.enumerate().map(|(i, value)| (i.to_string(), value)).collect();
        let purchase = Purchase { product, options, is_valid: true };
        n_solved += usize::from(shop.judge(goal, &purchase).reward.is_positive());
    }
    eprintln!("{n_solved} of {} goals are solved by their own product", goals.len());
    assert!(n_solved * 10 >= goals.len() * 9);
}
