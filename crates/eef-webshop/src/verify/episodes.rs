//! Recorded episodes, replayed.

use std::path::Path;

use eef_core::{Split, TaskId};
use serde::Deserialize;
use serde_json::json;

use super::data::Data;
use super::{Tally, records};
use crate::error::WebShopError;
use crate::goal::Goal;
use crate::shop::WebShop;
use crate::variant::{Fidelity, TextMode, Variant};
use crate::visit::Visit;

const NAME: &str = "webshop";
/// No set of goals is larger: a number above is an error, and not to be made room for.
const MAX_GOAL: u32 = 1_000_000;

#[derive(Deserialize)]
struct Episode {
    variant: String,
    goal_id: u32,
    goal: String,
    reset_observation: Option<String>,
    steps: Vec<Step>,
}

/// A step of either program; AgentBoard's first one is the reset, without a reply.
#[derive(Deserialize)]
struct Step {
    raw: Option<String>,
    /// `None` where AgentLite stopped with an error.
    observation: Option<String>,
    // AgentBoard's.
    reward: Option<f64>,
    done: Option<bool>,
    // AgentLite's.
    reward_attr: Option<f64>,
    env_done: Option<bool>,
    progress: Option<f64>,
}

pub(super) fn agents(data: &Data<'_>, path: &Path, tally: &mut Tally) -> Result<(), WebShopError> {
    let catalog = data.catalog(&data.nouns()?, &data.agentboard_prices()?)?;
    let goals = data.agentboard_goals()?.into_iter().map(|goal| (Split::Test, goal));
    let shop = WebShop::new(NAME, catalog, goals)?;
    let [lite, board] = [Variant::AgentLite, Variant::AgentBoard]
        .map(|variant| shop.clone().with_variant(variant).with_fidelity(Fidelity::Original));
    for (number, episode) in records::<Episode>(path)? {
        let task = TaskId::new(NAME, Split::Test, episode.goal_id);
        let bad = |message: String| WebShopError::Record {
            path: path.to_owned(),
            record: number.to_string(),
            message,
        };
        let goal = shop.goal(&task).ok_or_else(|| bad(format!("no goal {}", episode.goal_id)))?;
        tally.case(format!("record {number}: reset"));
        tally.same("instruction", &goal.instruction_text, &episode.goal);
        match episode.variant.as_str() {
            "agentlite" => agent_lite(&lite, &task, number, &episode, tally),
            "agentboard" => agent_board(&board, &task, number, &episode, tally),
            other => return Err(bad(format!("variant {other}: expected agentlite or agentboard"))),
        }
    }
    Ok(())
}

fn agent_lite(shop: &WebShop, task: &TaskId, number: usize, episode: &Episode, tally: &mut Tally) {
    let (mut visit, first) = Visit::new(shop, task);
    if let Some(expected) = &episode.reset_observation {
        tally.same("observation", &first, expected);
    }
    let mut has_bought = false;
    for (index, step) in episode.steps.iter().enumerate() {
        let (Some(reply), Some(observation)) = (&step.raw, &step.observation) else { break };
        // Its loop goes on after a purchase; a visit answers as before.
        let found = visit.step(shop, reply);
        tally.case(format!("record {number}, step {}: {reply}", index + 1));
        let is_same = tally.same("observation", &found.observation.as_str(), &observation.as_str());
        if !has_bought {
            has_bought = step.env_done == Some(true);
            tally.expect(found.terminated || !has_bought, "end", || (json!(false), json!(true)));
            // Until the purchase it is the progress.
            tally.same("reward", &Some(found.reward.get()), &step.reward_attr);
        }
        if !is_same {
            break;
        }
    }
}

fn agent_board(shop: &WebShop, task: &TaskId, number: usize, episode: &Episode, tally: &mut Tally) {
    let (mut visit, first) = Visit::new(shop, task);
    for (index, step) in episode.steps.iter().enumerate() {
        let Some(observation) = &step.observation else { break };
        let Some(reply) = &step.raw else {
            tally.same("observation", &first, observation);
            continue;
        };
        let found = visit.step(shop, reply);
        tally.case(format!("record {number}, step {index}: {reply}"));
        let is_same = tally.same("observation", &found.observation.as_str(), &observation.as_str());
        tally.same("reward", &Some(found.reward.get()), &step.reward);
        tally.same("end", &Some(found.terminated), &step.done);
        tally.same("progress rate", &visit.progress_rate(), &step.progress);
        if !is_same {
            break;
        }
    }
}

#[derive(Deserialize)]
struct TextEpisode {
    goal_index: u32,
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

pub(super) fn original(
    data: &Data<'_>,
    path: &Path,
    tally: &mut Tally,
) -> Result<(), WebShopError> {
    let catalog = data.catalog(&data.nouns()?, &data.original_prices()?)?;
    let episodes: Vec<(usize, TextEpisode)> = records(path)?;
    for (number, TextEpisode { goal_index, .. }) in &episodes {
        if *goal_index > MAX_GOAL {
            return Err(WebShopError::Record {
                path: path.to_owned(),
                record: number.to_string(),
                message: format!("goal {goal_index}: expected at most {MAX_GOAL}"),
            });
        }
    }
    // A session has the number of its goal; those between are of no episode.
    let n_goals = episodes.iter().map(|(_, episode)| episode.goal_index as usize + 1).max();
    let Some((_, first)) = episodes.first() else { return Ok(()) };
    let mut goals = vec![first.goal.clone(); n_goals.unwrap_or_default()];
    for (_, episode) in &episodes {
        goals[episode.goal_index as usize] = episode.goal.clone();
    }
    let goals = goals.into_iter().map(|goal| (Split::Test, goal));
    let shop = WebShop::new(NAME, catalog, goals)?.with_fidelity(Fidelity::Original);
    for mode in [TextMode::Text, TextMode::TextRich] {
        let shop = shop.clone().with_variant(Variant::Original(mode));
        for (number, episode) in &episodes {
            text_episode(&shop, mode, *number, episode, tally);
        }
    }
    Ok(())
}

fn text_episode(
    shop: &WebShop,
    mode: TextMode,
    number: usize,
    episode: &TextEpisode,
    tally: &mut Tally,
) {
    let task = TaskId::new(NAME, Split::Test, episode.goal_index);
    let (mut visit, first) = Visit::new(shop, &task);
    for (index, step) in episode.steps.iter().enumerate() {
        let action = step.action.as_deref();
        tally.case(format!("record {number}, step {index}: {}", action.unwrap_or("reset")));
        let (observation, reward, done) = match action {
            None => (first.clone(), 0.0, false),
            Some(action) => {
                let found = visit.step(shop, action);
                (found.observation.as_str().to_owned(), found.reward.get(), found.terminated)
            }
        };
        let expected = match mode {
            TextMode::Text => &step.text,
            TextMode::TextRich => &step.text_rich,
        };
        let is_same = tally.same("observation", &observation, expected);
        tally.same("reward", &reward, &step.reward);
        tally.same("end", &done, &step.done);
        tally.same("url", &visit.url(shop).as_deref(), &Some(step.url.as_str()));
        let actions = visit.available_actions(shop).unwrap_or_default();
        let are_same =
            actions.has_search_bar == step.has_search_bar && actions.clickables == step.clickables;
        tally.expect(are_same, "what can be done", || {
            (json!(actions.clickables), json!(step.clickables))
        });
        if !is_same {
            break;
        }
    }
}
