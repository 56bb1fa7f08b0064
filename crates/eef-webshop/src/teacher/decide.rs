//! The script.

use eef_core::Rng;

use super::TeacherParameters;
use super::need::Wish;
use super::page::{Choice, Offer, Page};
use super::view::{BACK, BUY, NEXT, PREVIOUS, View};
use crate::AgentAction;

/// The next action.
pub(crate) fn decide(view: &View, teacher: &TeacherParameters, rng: &mut Rng) -> AgentAction {
    if !view.has_just_thought && rng.chance(teacher.think) {
        return AgentAction::think(thought(view));
    }
    match &view.page {
        Page::Home => AgentAction::search(view.need.query()),
        Page::Results(offers) => read_results(view, offers, teacher, rng),
        Page::Item(_) => read_item(view, teacher, rng),
        // It never opens one itself: a student whose prefix it takes over might have.
        Page::Details => AgentAction::click(PREVIOUS),
    }
}

/// The probability of a slip, after so much navigation.
fn slip(base: f64, view: &View, teacher: &TeacherParameters) -> f64 {
    if base == 0.0 { 0.0 } else { base + teacher.slip_per_navigation * view.n_navigations as f64 }
}

fn read_results(
    view: &View,
    offers: &[Offer],
    teacher: &TeacherParameters,
    rng: &mut Rng,
) -> AgentAction {
    let overlooks_price = rng.chance(slip(teacher.overlook_price, view, teacher));
    let required = match view.need.keywords.len() {
        0..=4 => teacher.required_share,
        _ => teacher.required_share_of_many,
    };
    let fits = |offer: &&Offer| {
        view.need.match_share(&offer.title) >= required
            && (overlooks_price || view.need.can_pay(offer.price))
            && !view.visited.contains(&offer.asin)
    };
    // The best match, the first of equals.
    let fitting = offers.iter().filter(fits).rev().max_by(|a, b| {
        let share = |offer: &Offer| view.need.match_share(&offer.title);
        share(a).total_cmp(&share(b))
    });
    let can_turn = view.n_next < teacher.max_next && !offers.is_empty();
    let turns = can_turn
        && match fitting {
            Some(_) => view.n_navigations == 0 && rng.chance(teacher.wander),
            None => rng.chance(teacher.next),
        };
    match fitting {
        _ if turns => AgentAction::click(NEXT),
        Some(offer) => AgentAction::click(&*offer.asin),
        None => settle(view, offers, rng),
    }
}

/// Nothing fits and there is no looking on: takes what comes closest.
fn settle(view: &View, offers: &[Offer], rng: &mut Rng) -> AgentAction {
    let closeness: Vec<f64> = offers
        .iter()
        .map(|offer| {
            let is_new = !view.visited.contains(&offer.asin);
            view.need.match_share(&offer.title)
                + 0.3 * f64::from(u8::from(view.need.can_pay(offer.price)))
                + f64::from(u8::from(is_new))
                + 0.1 * rng.uniform()
        })
        .collect();
    let best = (0..offers.len()).max_by(|&a, &b| closeness[a].total_cmp(&closeness[b]));
    match best {
        Some(best) => AgentAction::click(&*offers[best].asin),
        None => AgentAction::click(BACK),
    }
}

fn read_item(view: &View, teacher: &TeacherParameters, rng: &mut Rng) -> AgentAction {
    let wishes: Vec<(&Choice, Wish)> =
        view.choices().iter().map(|choice| (choice, view.need.wish(choice))).collect();
    let misses = wishes.iter().any(|(_, wish)| *wish == Wish::Missing);
    if misses && view.n_back < teacher.max_back && rng.chance(teacher.back) {
        return AgentAction::click(BACK);
    }
    for (choice, wish) in &wishes {
        let Wish::Value(wanted) = wish else { continue };
        if choice.values.iter().any(|value| view.chosen.contains(value)) {
            continue;
        }
        if !rng.chance(slip(teacher.spoil_option, view, teacher)) {
            return AgentAction::click(wanted.as_str());
        }
        let others: Vec<&String> = choice.values.iter().filter(|value| *value != wanted).collect();
        return match rng.choose(&others) {
            Some(other) if rng.chance(0.5) => AgentAction::click(other.as_str()),
            _ => AgentAction::click(BUY),
        };
    }
    AgentAction::click(BUY)
}

fn thought(view: &View) -> String {
    match &view.page {
        Page::Home => format!("i search for {}", view.need.query()),
        Page::Results(_) => "i look for one that has all words and costs no more".to_owned(),
        Page::Item(_) => "i choose what is asked for and buy".to_owned(),
        Page::Details => "i go back to the product".to_owned(),
    }
}
