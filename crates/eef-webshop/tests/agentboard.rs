//! Visits to the sample shop as AgentBoard shows it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use eef_core::{Env, Environment, Split, TaskId};
use eef_webshop::{BoardAction, Fidelity, Shopper, Variant, WebShop, page};
use proptest::prelude::*;

fn visit(fidelity: Fidelity) -> Shopper {
    let shop = WebShop::sample().unwrap().as_ref().clone();
    let shop = Arc::new(shop.with_variant(Variant::AgentBoard).with_fidelity(fidelity));
    assert_eq!(shop.environment().max_turns(), 29);
    let mut shopper = shop.shopper();
    shopper.reset(&TaskId::new(shop.name(), Split::Test, 0)).unwrap();
    shopper
}

fn say(shopper: &mut Shopper, reply: &str) -> String {
    shopper.step(reply).unwrap().observation.as_str().to_owned()
}

#[test]
fn a_refused_click_shows_the_last_page_again() {
    let mut shopper = visit(Fidelity::Sane);
    let first = say(&mut shopper, "search[stoneware mug]");
    assert!(first.starts_with("WEB PAGE: {\n[Back to Search] \nPage 1 (Total results: 15)"));
    for reply in ["click[Buy Now]", "click[B0LAMP0001]", "click[Features]"] {
        let refused = say(&mut shopper, reply);
        assert_eq!(refused, format!("{}{first}", page::NOT_SHOWN));
    }
    assert_eq!(say(&mut shopper, "click[< Prev]"), format!("{}{first}", page::PAGE_LIMIT));
    assert_eq!(say(&mut shopper, "buy it"), page::WRONG_FORMAT);
    assert_eq!(say(&mut shopper, "search[lamp]"), page::web_page(page::NO_SEARCH));
}

#[test]
fn results_end_with_the_sixth_page() {
    let mut shopper = visit(Fidelity::Sane);
    say(&mut shopper, "search[mug]");
    let pages: Vec<String> = (2..=7).map(|_| say(&mut shopper, "click[Next >]")).collect();
    assert!(pages[4].contains("Page 6 "), "{}", pages[4]);
    assert!(pages[5].starts_with(page::PAGE_LIMIT), "{}", pages[5]);
}

#[test]
fn progress_rises_with_what_is_seen_and_a_purchase_ends_the_episode() {
    let mut shopper = visit(Fidelity::Sane);
    let rate = |shopper: &Shopper| shopper.progress_rate().unwrap();
    assert_eq!(rate(&shopper), 0.0);
    say(&mut shopper, "search[old mill mug]");
    let seen = rate(&shopper);
    assert!(seen > 0.0 && seen <= 1.0 / 3.0, "{seen}");
    say(&mut shopper, "click[B0MUG00004]");
    let opened = rate(&shopper);
    assert!(opened > seen && opened <= 2.0 / 3.0, "{opened}");
    say(&mut shopper, "click[red]");
    assert_eq!(rate(&shopper), opened);
    let end = shopper.step("click[Buy Now]").unwrap();
    assert!(end.terminated);
    assert_eq!(end.reward.get(), 1.0);
    assert_eq!(end.observation.as_str(), page::web_page(page::SUCCESS));
    // Two thirds for what was seen and one for what was bought.
    assert!(rate(&shopper) > 0.99);
    assert_eq!(WebShop::sample().unwrap().shopper().progress_rate(), None);
}

#[test]
fn a_wrong_purchase_is_told() {
    let mut shopper = visit(Fidelity::Sane);
    for reply in ["search[brass table lamp]", "click[B0LAMP0001]"] {
        say(&mut shopper, reply);
    }
    assert_eq!(say(&mut shopper, "click[Buy Now]"), page::web_page(page::FAILURE));
}

proptest! {
    #[test]
    fn printing_and_parsing_gives_the_same_action(
        reply in prop_oneof![any::<String>(), "(search|click)\\[.{0,12}\\]?", ".{0,4}click\\[[^\\[]{0,9}\\] *"],
        is_original in any::<bool>(),
    ) {
        let fidelity = if is_original { Fidelity::Original } else { Fidelity::Sane };
        let action = BoardAction::parse(&reply, fidelity);
        prop_assert_eq!(&BoardAction::parse(&action.to_string(), fidelity), &action);
    }

    #[test]
    fn no_reply_panics_and_progress_never_falls(
        replies in prop::collection::vec(
            prop_oneof![
                any::<String>(),
                prop::sample::select(vec![
                    "search[mug]", "search[]", "search[/", "click[Next >]", "click[< Prev]",
                    "click[B0MUG00002]", "click[B0MUG00004]", "click[red]", "click[Features]",
                    "click[Back to Search]", "click[Attributes]", "click[Buy Now]",
                ]).prop_map(str::to_owned),
            ],
            0..25,
        ),
        is_original in any::<bool>(),
    ) {
        let mut shopper = visit(if is_original { Fidelity::Original } else { Fidelity::Sane });
        let mut rate = 0.0;
        for reply in &replies {
            let Ok(transition) = shopper.step(reply) else { break };
            let now = shopper.progress_rate().unwrap();
            prop_assert!(now >= rate && now <= 1.0, "{} after {}", now, rate);
            rate = now;
            prop_assert!(rate >= transition.reward.get() / 3.0);
        }
    }
}
