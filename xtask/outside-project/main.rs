//! Another project's program: it uses single crates of this workspace by path, each for what it is
//! for, and knows nothing of the others. Built and run by `cargo xtask check`.

use std::error::Error;

use eef_core::{
    Author, Env, EpisodeEnd, Origin, Outcome, Reward, Split, StateKey, Step, TaskId, Trajectory,
    TrajectoryId,
};
use eef_select::AnchorSchedule;
use eef_store::{SqliteStore, TrajectoryStore};
use eef_webshop::{AgentAction, WebShop};

fn main() -> Result<(), Box<dyn Error>> {
    let shop = WebShop::sample()?;
    let task = TaskId::new(shop.name(), Split::Test, 0);
    let trajectory = buy(&mut shop.shopper(), &task)?;
    assert!(trajectory.is_positive(), "{:?}", trajectory.outcome);

    let folder = std::env::current_dir()?.join("store");
    std::fs::create_dir_all(&folder)?;
    let store = SqliteStore::open(folder.join("trajectories.sqlite"))?;
    store.append(std::slice::from_ref(&trajectory))?;
    let best = store.best_solution(&StateKey::initial(&task))?;
    assert_eq!(best, Some(trajectory.id));

    let anchors = AnchorSchedule::Floor.anchors(trajectory.n_actions(), 1);
    println!("{} actions, simulated from {anchors:?}", trajectory.n_actions());
    Ok(())
}

/// Buys what the sample shop's first test task asks for.
fn buy(env: &mut dyn Env, task: &TaskId) -> Result<Trajectory, Box<dyn Error>> {
    let name = "by-hand";
    let opening = env.reset(task)?;
    let mut steps = Vec::new();
    let mut reward = Reward::ZERO;
    let replies = [
        AgentAction::search("stoneware coffee mug"),
        AgentAction::click("B0MUG00004"),
        AgentAction::click("red"),
        AgentAction::click("Buy Now"),
    ];
    for reply in replies {
        let reply = reply.to_string();
        let transition = env.step(&reply)?;
        reward = transition.reward;
        steps.push(Step {
            reply,
            action: transition.action,
            observation: transition.observation,
            author: Author::Expert(name.into()),
            sampled: None,
        });
    }
    Ok(Trajectory {
        id: TrajectoryId::derive(&[name.as_bytes(), task.to_string().as_bytes()]),
        task: task.clone(),
        instruction: opening.instruction,
        first_observation: opening.observation,
        steps,
        origin: Origin::Expert { name: name.into() },
        outcome: Outcome { end: EpisodeEnd::Terminated, reward },
    })
}
