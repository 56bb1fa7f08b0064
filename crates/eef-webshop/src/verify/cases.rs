//! Recorded rewards, searches, likenesses and colours.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::data::Data;
use super::{Tally, records};
use crate::error::WebShopError;
use crate::goal::{Goal, GoalOptions};
use crate::raw::{NounTable, Prices};
use crate::reward::{normalize_color, reward, token_set_ratio};
use crate::search::{SearchIndex, analyze};

#[derive(Deserialize)]
struct RewardCase {
    goal: RecordedGoal,
    purchased_asin: String,
    options: BTreeMap<String, String>,
    price: f64,
    expected: RecordedReward,
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
struct RecordedReward {
    reward: f64,
    r_type: f64,
    title_score: f64,
    num_attr_matches: Option<usize>,
    num_option_matches: Option<usize>,
}

pub(super) fn rewards(data: &Data<'_>, path: &Path, tally: &mut Tally) -> Result<(), WebShopError> {
    let nouns = data.nouns()?;
    let catalog = data.catalog(&nouns, &Prices::new())?;
    for (number, case) in records::<RewardCase>(path)? {
        let RewardCase { goal, purchased_asin, options, price, expected } = case;
        let product = catalog.get(&purchased_asin).ok_or_else(|| WebShopError::Record {
            path: path.to_owned(),
            record: number.to_string(),
            message: format!("buys {purchased_asin}, which the catalogue does not hold"),
        })?;
        let goal = Goal {
            asin: goal.asin,
            category: goal.category,
            query: goal.query,
            name: goal.name,
            product_category: goal.product_category,
            instruction_text: goal.instruction_text,
            attributes: goal.attributes,
            price_upper: goal.price_upper,
            goal_options: goal.goal_options,
            weight: 1.0,
            nouns: None,
        }
        .with_nouns_of(&catalog);
        let chosen: Vec<&str> = options.values().map(String::as_str).collect();
        let found = reward(&goal, &product, &chosen, price);
        tally.case(format!("record {number}"));
        tally.same("reward", &found.reward.get(), &expected.reward);
        tally.same("type factor", &found.type_factor, &expected.r_type);
        tally.same("title score", &found.title_score, &expected.title_score);
        if let Some(n) = expected.num_attr_matches {
            tally.same("attributes met", &found.n_attributes, &n);
        }
        if let Some(n) = expected.num_option_matches {
            tally.same("options met", &found.n_options, &n);
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct SearchCase {
    query: String,
    analyzed: Vec<String>,
    asins: Vec<String>,
    scores: Vec<f64>,
}

/// Recorded scores are rounded to 4 decimals, and ties moved apart by a millionth each.
const SCORE_TOLERANCE: f64 = 2e-4;

pub(super) fn searches(
    data: &Data<'_>,
    path: &Path,
    tally: &mut Tally,
) -> Result<(), WebShopError> {
    let catalog = data.catalog(&NounTable::new(), &Prices::new())?;
    let index = SearchIndex::new(&catalog);
    for (number, case) in records::<SearchCase>(path)? {
        let hits = index.search(&case.query);
        let asin = |product: u32| catalog.listing(product as usize).asin.to_owned();
        let asins: Vec<String> = hits.iter().map(|hit| asin(hit.product)).collect();
        tally.case(format!("record {number}: {}", case.query));
        tally.same("words of the query", &analyze(&case.query), &case.analyzed);
        tally.same("products", &asins, &case.asins);
        let scores: Vec<f64> = hits.iter().map(|hit| f64::from(hit.score)).collect();
        let is_near = |(a, b): (&f64, &f64)| (a - b).abs() < SCORE_TOLERANCE;
        let are_near =
            scores.len() == case.scores.len() && scores.iter().zip(&case.scores).all(is_near);
        tally.expect(are_near, "scores", || (scores.into(), case.scores.into()));
    }
    Ok(())
}

#[derive(Deserialize)]
struct RatioCase {
    a: String,
    b: String,
    token_set_ratio: u32,
}

pub(super) fn ratios(path: &Path, tally: &mut Tally) -> Result<(), WebShopError> {
    for (number, case) in records::<RatioCase>(path)? {
        tally.case(format!("record {number}: {:?} and {:?}", case.a, case.b));
        tally.same("ratio", &token_set_ratio(&case.a, &case.b), &case.token_set_ratio);
    }
    Ok(())
}

#[derive(Deserialize)]
struct ColorCase {
    s: String,
    normalized: String,
}

pub(super) fn colors(path: &Path, tally: &mut Tally) -> Result<(), WebShopError> {
    for (number, case) in records::<ColorCase>(path)? {
        tally.case(format!("record {number}: {:?}", case.s));
        tally.same("colour", &normalize_color(&case.s), &case.normalized.as_str());
    }
    Ok(())
}
