//! Finds a living thing: `cargo run -p eef-scienceworld --example episode`, from a cassette.
//!
//! With `-- scienceworld.jar` after it the simulator itself plays, and is asked how many actions
//! would do something at the start.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;

use eef_core::Env;
use eef_scienceworld::{
    Cassette, CassetteMode, EnvironmentOptions, Jar, PoolOptions, ScienceWorld, WorkerPool,
};

const ACTIONS: [&str; 10] = [
    "open door to kitchen",
    "go to kitchen",
    "open door to outside",
    "go to outside",
    "look around",
    "focus on blue jay",
    "pick up blue jay",
    "open door to kitchen",
    "go to kitchen",
    "move egg blue jay egg in inventory to red box",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With a jar this program starts itself as a worker.
    eef_scienceworld::worker_main_if_requested();
    let jar = std::env::args_os().nth(1);
    let world = if let Some(jar) = &jar {
        let options = PoolOptions { n_workers: 1, ..PoolOptions::default() };
        let pool = WorkerPool::new(Jar::open(jar.as_ref())?, options)?;
        ScienceWorld::new(pool, EnvironmentOptions::default())
    } else {
        let fixture = "../../fixtures/scienceworld/find.jsonl";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
        let cassette = Cassette::open(&path, CassetteMode::RefuseOnMiss)?;
        ScienceWorld::with_cassette(cassette, None, EnvironmentOptions::default())
    };
    let task = world.task_id("find-living-thing", 0).ok_or("no such task")?;
    let mut episode = world.episode();
    let opening = episode.reset(&task)?;
    println!("{}\n\n{}", opening.instruction, opening.observation);
    if jar.is_some() {
        println!("\n({} actions do something here)", episode.valid_actions()?.len());
    }
    for action in ACTIONS {
        let found = episode.step(action)?;
        println!("\n> {action}\n{}\n(reward {})", found.observation, found.reward.get());
    }
    Ok(())
}
