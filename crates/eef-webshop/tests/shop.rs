//! Visits to the sample shop, and prepared directories.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use eef_core::{Env, EnvError, Environment, Split, TaskId};
use eef_webshop::{AgentAction, Shopper, WebShop, page};
use proptest::prelude::*;

fn visit(shop: &Arc<WebShop>) -> Shopper {
    let mut shopper = shop.shopper();
    shopper.reset(&TaskId::new(shop.name(), Split::Test, 0)).unwrap();
    shopper
}

fn search(shopper: &mut Shopper, product: &str) -> String {
    let reply = AgentAction::search(product).to_string();
    shopper.step(&reply).unwrap().observation.as_str().to_owned()
}

fn click(shopper: &mut Shopper, button: &str) -> String {
    let reply = AgentAction::click(button).to_string();
    shopper.step(&reply).unwrap().observation.as_str().to_owned()
}

#[test]
fn pages_are_shown_as_agentlite_shows_them() {
    let mut shopper = visit(&WebShop::sample().unwrap());
    let mut seen = vec![search(&mut shopper, "stoneware mug")];
    for button in [
        "Next >",
        "< Prev",
        "B0MUG00002",
        "16 oz",
        "Features",
        "< Prev",
        "purple",
        "Description",
        "Back to Search",
        "Next >",
    ] {
        seen.push(click(&mut shopper, button));
    }
    insta::assert_snapshot!(seen.join("\n--------\n"));
}

#[test]
fn only_what_is_shown_can_be_clicked() {
    let mut shopper = visit(&WebShop::sample().unwrap());
    assert_eq!(click(&mut shopper, "Buy Now"), "WEB PAGE: {There is no [Buy Now] button}");
    assert_eq!(click(&mut shopper, "anything"), "WEB PAGE: {Let us begin shopping \n[Search]}");
    search(&mut shopper, "mug");
    assert_eq!(search(&mut shopper, "lamp"), page::web_page(page::NO_SEARCH));
    assert_eq!(click(&mut shopper, "< Prev"), "WEB PAGE: {This is no [< Prev] button}");
    assert_eq!(click(&mut shopper, "B0LAMP0001"), "WEB PAGE: {Button must be an asin}");
    let first = click(&mut shopper, "Next >");
    let past = click(&mut shopper, "Next >");
    assert!(first.contains("[B0MUG") && !past.contains("[B0MUG"), "{first} {past}");
    assert_eq!(click(&mut shopper, "B0MUG00001"), "WEB PAGE: {Button must be an asin}");
    click(&mut shopper, "Back to Search");
    search(&mut shopper, "brass table lamp");
    assert!(click(&mut shopper, "B0LAMP0001").contains("Price: $64.0 "));
    assert_eq!(click(&mut shopper, "red"), "WEB PAGE: {No option_types.}");
}

#[test]
fn the_page_of_attributes_opens_in_the_original_alone() {
    let shop = WebShop::sample().unwrap();
    let original = shop.as_ref().clone().with_fidelity(eef_webshop::Fidelity::Original);
    let opens = |shop: &Arc<WebShop>, button: &str| {
        let mut shopper = visit(shop);
        search(&mut shopper, "old mill mug");
        click(&mut shopper, "B0MUG00004");
        let seen = click(&mut shopper, button);
        (seen, click(&mut shopper, "Buy Now") == page::FINISHED)
    };
    // Answered as any button that is not there, and the product's page stays open.
    let (missing, _) = opens(&shop, "[Attributed]");
    assert!(missing.contains("your button must be in {"), "{missing}");
    assert_eq!(opens(&shop, "Attributes"), (missing, true));
    let (seen, buys) = opens(&Arc::new(original), "Attributes");
    assert!(seen.starts_with("WEB PAGE: {\n[Back to Search] \n[< Prev] \n "), "{seen}");
    assert!(!buys);
}

#[test]
fn a_purchase_ends_the_episode_and_earns_by_options() {
    let shop = WebShop::sample().unwrap();
    for (option, is_positive) in [("red", true), ("sea blue", false)] {
        let mut shopper = visit(&shop);
        search(&mut shopper, "old mill mug");
        click(&mut shopper, "B0MUG00004");
        assert_eq!(
            click(&mut shopper, option),
            format!("WEB PAGE: {{You have clicked {option}.}}")
        );
        let end = shopper.step("click[{\"button\":\"Buy Now\"}]").unwrap();
        assert_eq!(end.observation.as_str(), page::FINISHED);
        assert_eq!(end.action.as_str(), "click[{\"button\": \"Buy Now\"}]");
        assert!(end.terminated);
        assert_eq!(end.reward.is_positive(), is_positive);
        assert!(end.reward.get() > 0.5);
        assert_eq!(shopper.step("Think[{\"response\": \"\"}]"), Err(EnvError::NotRunning));
    }
}

#[test]
fn thinking_changes_nothing_and_finishing_earns_nothing() {
    let mut shopper = visit(&WebShop::sample().unwrap());
    let before = shopper.snapshot();
    assert_eq!(
        shopper.step("Think[{\"response\": \"a mug\"}]").unwrap().observation.as_str(),
        "OK"
    );
    assert_eq!(shopper.step("buy!").unwrap().observation.as_str(), page::WRONG_ACTION);
    assert_eq!(shopper.snapshot(), before);
    let end = shopper.step("Finish[{\"response\": \"done\"}]").unwrap();
    assert!(end.terminated && end.reward.get() == 0.0);
}

#[test]
fn unknown_tasks_are_named() {
    let shop = WebShop::sample().unwrap();
    let mut shopper = shop.shopper();
    for task in
        [TaskId::new(shop.name(), Split::Test, 99), TaskId::new("elsewhere", Split::Test, 0)]
    {
        assert!(matches!(shopper.reset(&task), Err(EnvError::UnknownTask { .. })));
    }
    assert_eq!(shop.environment().tasks(Split::Test).len(), 2);
    assert_eq!(shop.environment().max_turns(), 20);
}

/// Replies that often do something, and any text.
fn reply() -> impl Strategy<Value = String> {
    let buttons = prop::sample::select(vec![
        "Next >",
        "< Prev",
        "Back to Search",
        "Buy Now",
        "Description",
        "Attributes",
        "red",
        "B0MUG00002",
        "B0MUG00005",
        "12 oz",
        "white",
        "",
    ]);
    prop_oneof![
        4 => buttons.prop_map(|button| AgentAction::click(button).to_string()),
        2 => prop::sample::select(vec!["mug", "", "tunic red", "[", "/"])
            .prop_map(|query| AgentAction::search(query).to_string()),
        1 => any::<String>(),
        1 => ".{0,20}\\[\\{\"button\": \".{0,9}\"\\}\\]",
    ]
}

proptest! {
    #[test]
    fn no_reply_panics_and_a_snapshot_brings_everything_back(
        before in prop::collection::vec(reply(), 0..12),
        after in prop::collection::vec(reply(), 0..12),
        is_original in any::<bool>(),
    ) {
        let fidelity = if is_original {
            eef_webshop::Fidelity::Original
        } else {
            eef_webshop::Fidelity::Sane
        };
        let shop = WebShop::sample().unwrap().as_ref().clone().with_fidelity(fidelity);
        let mut shopper = visit(&Arc::new(shop));
        for reply in &before {
            let _ = shopper.step(reply);
        }
        let snapshot = shopper.snapshot();
        let run = |shopper: &mut Shopper| {
            after.iter().map(|reply| shopper.step(reply)).collect::<Vec<_>>()
        };
        let first = run(&mut shopper);
        shopper.restore(&snapshot);
        prop_assert_eq!(run(&mut shopper), first);
    }

    #[test]
    fn the_normal_form_does_the_same_as_what_was_said(replies in prop::collection::vec(reply(), 1..12)) {
        let shop = WebShop::sample().unwrap();
        let (mut one, mut other) = (visit(&shop), visit(&shop));
        for reply in &replies {
            let Ok(said) = one.step(reply) else { break };
            prop_assert_eq!(Ok(said.clone()), other.step(said.action.as_str()));
        }
    }
}

#[test]
fn faithful_rewards_report_progress_until_the_purchase() {
    let faithful = || {
        let shop = WebShop::sample().unwrap().as_ref().clone();
        visit(&Arc::new(shop.with_fidelity(eef_webshop::Fidelity::Original)))
    };
    let search = r#"search[{"product": "stoneware coffee mug"}]"#;
    let click = |button: &str| AgentAction::click(button).to_string();
    let mut shopper = faithful();
    let reward = |shopper: &mut Shopper, reply: &str| shopper.step(reply).unwrap().reward.get();
    assert_eq!(reward(&mut shopper, r#"think[{"response": "well"}]"#), 0.0);
    assert_eq!(reward(&mut shopper, search), 1.0 / 3.0, "the product is among the results");
    assert_eq!(reward(&mut shopper, &click("B0MUG00004")), 2.0 / 3.0);
    assert_eq!(reward(&mut shopper, &click("no such button")), 2.0 / 3.0);
    let mut other = shopper.clone();
    assert_eq!(reward(&mut other, r#"Finish[{"response": "enough"}]"#), 2.0 / 3.0);
    assert_eq!(reward(&mut shopper, &click("red")), 2.0 / 3.0);
    assert_eq!(reward(&mut shopper, &click("Buy Now")), 1.0);
    // Otherwise nothing is earned before.
    let mut sane = visit(&WebShop::sample().unwrap());
    assert_eq!(reward(&mut sane, search), 0.0);
}
