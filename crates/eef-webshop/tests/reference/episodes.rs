//! Whole episodes of AgentLite, compared text by text.

use std::sync::Arc;

use eef_core::{Env, Split, TaskId};
use eef_webshop::raw::{NounTable, Prices};
use eef_webshop::{Fidelity, Goal, Variant, WebShop};
use serde::Deserialize;

#[derive(Deserialize)]
struct Episode {
    id: u32,
    variant: String,
    name: String,
    goal_id: u32,
    goal: String,
    #[serde(default)]
    reset_observation: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    raw: Option<String>,
    observation: Option<String>,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    reward: f64,
    #[serde(default)]
    progress: f64,
    #[serde(default)]
    env_done: bool,
}

#[derive(Deserialize)]
struct PinnedPrices {
    product_prices: Prices,
}

fn shop(fidelity: Fidelity) -> Option<Arc<WebShop>> {
    let pinned: PinnedPrices = super::json("data/webshop/agentboard_product_prices.seed7.json")?;
    let catalog = super::catalog(&pinned.product_prices)?;
    let text = super::read("data/webshop/agentboard_style_goals.jsonl")?;
    let goals = Goal::from_agentboard(&text).unwrap();
    let nouns: NounTable = super::json("data/webshop/title_nouns.en_core_web_sm-3.6.0.json")?;
    let goals = goals.into_iter().map(|goal| (Split::Test, goal));
    let shop = WebShop::new("webshop", catalog, goals, nouns).unwrap().with_fidelity(fidelity);
    Some(Arc::new(shop))
}

#[test]
fn recorded_episodes_of_agentlite_replay() {
    let Some(shop) = shop(Fidelity::Original) else {
        return;
    };
    let episodes: Vec<Episode> = super::lines("reference/webshop/episodes.jsonl").unwrap();
    let (mut n_steps, mut n_different) = (0, 0);
    for episode in episodes.iter().filter(|episode| episode.variant == "agentlite") {
        let mut shopper = shop.shopper();
        let opening = shopper.reset(&TaskId::new("webshop", Split::Test, episode.goal_id)).unwrap();
        assert_eq!(opening.instruction, episode.goal);
        assert_eq!(opening.observation.as_str(), episode.reset_observation);
        for step in &episode.steps {
            // Where AgentLite itself crashed there is nothing to compare.
            let (Some(reply), Some(expected)) = (&step.raw, &step.observation) else {
                break;
            };
            n_steps += 1;
            let transition = shopper.step(reply).unwrap();
            if transition.observation.as_str() != expected {
                n_different += 1;
                let found = transition.observation;
                eprintln!("{} {}: {reply}\n  {found:?}\n  {expected:?}", episode.id, episode.name);
                break;
            }
            // AgentLite goes on after a purchase until it is told to finish; we do not.
            if transition.terminated {
                assert!(step.env_done || reply.contains("Finish"), "{}", episode.name);
                break;
            }
        }
    }
    eprintln!("AgentLite: {n_different} of {n_steps} observations differ");
    assert!(n_steps > 900);
    assert_eq!(n_different, 0);
}

#[test]
fn recorded_episodes_of_agentboard_replay() {
    let Some(shop) = shop(Fidelity::Original) else {
        return;
    };
    let shop = Arc::new(shop.as_ref().clone().with_variant(Variant::AgentBoard));
    let episodes: Vec<Episode> = super::lines("reference/webshop/episodes.jsonl").unwrap();
    let (mut n_steps, mut n_different) = (0, 0);
    for episode in episodes.iter().filter(|episode| episode.variant == "agentboard") {
        let mut shopper = shop.shopper();
        let opening = shopper.reset(&TaskId::new("webshop", Split::Test, episode.goal_id)).unwrap();
        assert_eq!(opening.instruction, episode.goal);
        for step in &episode.steps {
            // The first is the reset.
            let (Some(reply), Some(expected)) = (&step.raw, &step.observation) else { continue };
            n_steps += 1;
            let found = shopper.step(reply).unwrap();
            let progress = shopper.progress_rate().unwrap();
            let is_same = found.observation.as_str() == expected
                && found.reward.get() == step.reward
                && found.terminated == step.done
                && progress == step.progress;
            if !is_same {
                n_different += 1;
                eprintln!("{} {}: {reply}", episode.id, episode.name);
                eprintln!("  {found:?} {progress}");
                eprintln!("  {expected:?} {} {}", step.reward, step.progress);
                break;
            }
        }
    }
    eprintln!("AgentBoard: {n_different} of {n_steps} steps differ");
    assert!(n_steps > 900);
    assert_eq!(n_different, 0);
}
