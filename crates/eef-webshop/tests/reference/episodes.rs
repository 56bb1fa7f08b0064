//! Whole episodes of AgentLite, compared text by text.

use std::sync::Arc;

use eef_core::{Env, Split, TaskId};
use eef_webshop::raw::{NounTable, Prices};
use eef_webshop::{Fidelity, Goal, TextMode, Variant, WebShop};
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

#[derive(Deserialize)]
struct TextEpisode {
    goal_index: usize,
    goal: Goal,
    steps: Vec<TextStep>,
}

#[derive(Deserialize)]
struct TextStep {
    action: Option<String>,
    reward: f64,
    done: bool,
    text: String,
    text_rich: String,
    url: String,
    has_search_bar: bool,
    clickables: Vec<String>,
}

#[test]
fn recorded_episodes_of_webshops_own_text_modes_replay() {
    let path = "reference/webshop/episodes_original_text.jsonl";
    let Some(episodes) = super::lines::<TextEpisode>(path) else {
        return;
    };
    let prices: Prices = super::json("data/webshop/original_product_prices.seed99.json").unwrap();
    let nouns: NounTable =
        super::json("data/webshop/title_nouns.en_core_web_sm-3.6.0.json").unwrap();
    // A session has the number of its goal among thousands, of which only these are recorded.
    let n_goals = episodes.iter().map(|episode| episode.goal_index + 1).max().unwrap();
    let mut goals = vec![(Split::Test, episodes[0].goal.clone()); n_goals];
    for episode in &episodes {
        goals[episode.goal_index].1 = episode.goal.clone();
    }
    let catalog = super::catalog(&prices).unwrap();
    let shop = WebShop::new("webshop", catalog, goals, nouns).unwrap();
    let (mut n_pages, mut n_different) = (0, 0);
    for mode in [TextMode::Text, TextMode::TextRich] {
        let shop = shop.clone().with_variant(Variant::Original(mode));
        let shop = Arc::new(shop.with_fidelity(Fidelity::Original));
        for episode in &episodes {
            let mut shopper = shop.shopper();
            let task = TaskId::new("webshop", Split::Test, episode.goal_index as u32);
            let opening = shopper.reset(&task).unwrap();
            for step in &episode.steps {
                let (observation, reward, done) = match &step.action {
                    None => (opening.observation.clone(), 0.0, false),
                    Some(action) => {
                        let found = shopper.step(action).unwrap();
                        (found.observation, found.reward.get(), found.terminated)
                    }
                };
                let expected = match mode {
                    TextMode::Text => &step.text,
                    TextMode::TextRich => &step.text_rich,
                };
                let actions = shopper.available_actions().unwrap();
                let is_same = observation.as_str() == expected
                    && (reward, done) == (step.reward, step.done)
                    && shopper.url().as_deref() == Some(&step.url)
                    && actions.has_search_bar == step.has_search_bar
                    && actions.clickables == step.clickables;
                n_pages += 1;
                if !is_same {
                    n_different += 1;
                    eprintln!("{} {:?}", episode.goal_index, step.action);
                    eprintln!("  {observation:?} {reward} {done} {:?} {actions:?}", shopper.url());
                    eprintln!("  {expected:?} {} {} {}", step.reward, step.done, step.url);
                    break;
                }
            }
        }
    }
    eprintln!("WebShop's own text modes: {n_different} of {n_pages} pages differ");
    assert!(n_pages > 400);
    assert_eq!(n_different, 0);
}
