//! Visits to the sample shop in WebShop's own text modes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use eef_core::{Env, Environment, Split, TaskId};
use eef_webshop::{Fidelity, Shopper, TextAction, TextMode, Variant, WebShop};
use proptest::prelude::*;

fn visit(mode: TextMode, fidelity: Fidelity) -> (Shopper, String) {
    let shop = WebShop::sample().unwrap().as_ref().clone();
    let shop = Arc::new(shop.with_variant(Variant::Original(mode)).with_fidelity(fidelity));
    assert_eq!(shop.environment().max_turns(), 100);
    let mut shopper = shop.shopper();
    let opening = shopper.reset(&TaskId::new(shop.name(), Split::Test, 0)).unwrap();
    (shopper, opening.observation.as_str().to_owned())
}

fn say(shopper: &mut Shopper, reply: &str) -> String {
    shopper.step(reply).unwrap().observation.as_str().to_owned()
}

#[test]
fn pages_are_lines_of_buttons_and_texts() {
    let (mut shopper, first) = visit(TextMode::TextRich, Fidelity::Original);
    assert!(
        first.starts_with("WebShop\nInstruction: \ni want a handmade stoneware mug"),
        "{first}"
    );
    assert!(first.ends_with("[button] Search [button_]\n"), "{first}");
    let results = say(&mut shopper, "search[Old Mill Mug]");
    assert!(results.contains("\n\n[button] B0MUG00004 [button_]\nOld Mill Stoneware"), "{results}");
    let item = say(&mut shopper, "click[B0MUG00004]");
    assert!(item.contains("\n  [button] red [button_]\n"), "{item}");
    let chosen = say(&mut shopper, "click[red]");
    assert!(chosen.starts_with("You have clicked red.\nInstruction:\n"), "{chosen}");
    assert!(chosen.contains("\n  [clicked button] red [clicked button_]\n"), "{chosen}");
    // What cannot be done changes nothing, and a search is possible everywhere.
    assert_eq!(say(&mut shopper, "click[purple]"), chosen);
    assert_eq!(say(&mut shopper, "buy it"), chosen);
    let again = say(&mut shopper, "search[old mill mug]");
    assert!(again.contains("\n[clicked button] B0MUG00004 [clicked button_]\n"), "{again}");
}

#[test]
fn a_purchase_ends_the_episode() {
    let (mut shopper, _) = visit(TextMode::Text, Fidelity::Sane);
    for reply in ["search[old mill mug]", "click[b0mug00004]", "click[red]"] {
        say(&mut shopper, reply);
    }
    let actions = shopper.available_actions().unwrap();
    assert!(!actions.has_search_bar);
    assert_eq!(actions.clickables[..2], ["back to search", "< prev"]);
    let end = shopper.step("click[Buy Now]").unwrap();
    assert!(end.terminated);
    assert_eq!(end.reward.get(), 1.0);
    let text = end.observation.as_str();
    assert!(text.contains(" [SEP] {\"color\": \"red\"} [SEP] "), "{text}");
    assert!(text.contains("Your score (min 0.0, max 1.0) [SEP] 1.0 [SEP] "), "{text}");
    assert!(shopper.url().unwrap().ends_with("/done/0/B0MUG00004/{'color': 'red'}"));
}

#[test]
fn special_first_keywords_list_products_otherwise() {
    let (mut shopper, _) = visit(TextMode::Text, Fidelity::Original);
    let all = say(&mut shopper, "search[<r>]");
    assert!(all.contains("Page 1 (Total results: 10)"), "{all}");
    assert_eq!(say(&mut shopper, "search[<r>]"), all);
    for query in ["<c> nothing of the kind", "<a> none", "<q>", "<c>"] {
        let none = say(&mut shopper, &format!("search[{query}]"));
        assert!(none.contains("Page 1 (Total results: 0)"), "{query}: {none}");
    }
}

proptest! {
    #[test]
    fn printing_and_parsing_gives_the_same_action(
        reply in prop_oneof![any::<String>(), "(search|click)[\\[\\]a-b]{0,9}\\]?"],
    ) {
        let action = TextAction::parse(&reply);
        prop_assert_eq!(&TextAction::parse(&action.to_string()), &action);
    }

    #[test]
    fn no_reply_panics_and_a_snapshot_brings_everything_back(
        replies in prop::collection::vec(
            prop_oneof![
                any::<String>(),
                prop::sample::select(vec![
                    "search[mug]", "search[search_results]", "search[item_page]", "search[\"red\"]",
                    "search[<c>]", "click[next >]", "click[< prev]", "click[b0mug00002]",
                    "click[b0mug00004]", "click[red]", "click[features]", "click[search]",
                    "click[back to search]", "click[attributes]", "click[buy now]",
                ]).prop_map(str::to_owned),
            ],
            0..25,
        ),
        is_original in any::<bool>(),
    ) {
        let fidelity = if is_original { Fidelity::Original } else { Fidelity::Sane };
        let (mut shopper, _) = visit(TextMode::TextRich, fidelity);
        let before = shopper.snapshot();
        let mut run = || {
            replies.iter().map(|reply| shopper.step(reply)).collect::<Vec<_>>()
        };
        let first = run();
        shopper.restore(&before);
        let again: Vec<_> = replies.iter().map(|reply| shopper.step(reply)).collect();
        prop_assert_eq!(again, first);
    }
}
