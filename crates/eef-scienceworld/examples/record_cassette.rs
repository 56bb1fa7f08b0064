//! Records the cassette of this crate's example and tests, with Java and the jar:
//!
//! ```text
//! EEF_SCIENCEWORLD_JAR=scienceworld.jar cargo run -p eef-scienceworld --example record_cassette -- \
//!     fixtures/scienceworld/find.jsonl
//! ```
//!
//! Three short games as the simulator itself solves them, and one lost by a wrong focus. Recording
//! again gives the same bytes.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::PathBuf;

use eef_scienceworld::{
    Cassette, CassetteMode, EnvironmentOptions, Jar, PoolOptions, ScienceWorld, WorkerPool, teacher,
};

const GAMES: [(&str, u32); 3] =
    [("find-living-thing", 0), ("find-non-living-thing", 225), ("find-plant", 150)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    eef_scienceworld::worker_main_if_requested();
    let path = std::env::args_os().nth(1).map(PathBuf::from).ok_or("expected a path to record")?;
    let jar = std::env::var_os("EEF_SCIENCEWORLD_JAR").ok_or("EEF_SCIENCEWORLD_JAR is not set")?;
    let options = PoolOptions { n_workers: 1, ..PoolOptions::default() };
    let pool = WorkerPool::new(Jar::open(jar.as_ref())?, options)?;
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    let cassette = Cassette::open(&path, CassetteMode::Record)?;
    let world = ScienceWorld::with_cassette(
        cassette.clone(),
        Some(pool.clone()),
        EnvironmentOptions::default(),
    );
    for (name, variation) in GAMES {
        let task = world.task_id(name, variation).ok_or("no such game")?;
        let game = world.game(&task).ok_or("no such game")?;
        let gold = pool.simulator().gold_actions(game)?;
        let solved = teacher::demonstrate(&world, &task, "gold", &gold, str::to_owned)?;
        println!("{task} ({name}): {} actions, {:?}", solved.n_actions(), solved.outcome);
        if name == GAMES[0].0 {
            let lost = ["look around", "focus on air"].map(str::to_owned);
            let lost = teacher::demonstrate(&world, &task, "lost", &lost, str::to_owned)?;
            println!("{task} ({name}): {} actions, {:?}", lost.n_actions(), lost.outcome);
        }
    }
    println!("{}: {} states", path.display(), cassette.n_states());
    Ok(())
}
