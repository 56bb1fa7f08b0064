//! Cassettes that are recorded, and teachers that play.

use std::fs;
use std::path::{Path, PathBuf};

use eef_core::{Env, EnvError, EpisodeEnd, Seed};
use eef_scienceworld::teacher::{Flaws, demonstrate, gold_scripts};
use eef_scienceworld::{Cassette, CassetteMode, EnvironmentOptions, ScienceWorld, WorkerPool};

use crate::pool;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scienceworld/find.jsonl")
}

fn world(path: &Path, mode: CassetteMode, pool: Option<&WorkerPool>) -> ScienceWorld {
    let cassette = Cassette::open(path, mode).unwrap();
    ScienceWorld::with_cassette(cassette, pool.cloned(), EnvironmentOptions::default())
}

/// The way through a game that the fixture ends with.
const WAY: [&str; 5] = [
    "open door to kitchen",
    "go to kitchen",
    "open door to outside",
    "go to outside",
    "look around",
];

#[test]
fn a_cassette_answers_until_something_new_is_asked_and_records_that() {
    let Some(pool) = pool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cassette.jsonl");
    fs::copy(fixture(), &path).unwrap();
    let recorded = fs::read(&path).unwrap();
    let world_of = |mode| world(&path, mode, Some(&pool));
    let replaying = world_of(CassetteMode::Replay);
    let task = replaying.task_id("find-living-thing", 0).unwrap();
    let mut env = replaying.episode();
    env.reset(&task).unwrap();
    for action in WAY {
        env.step(action).unwrap();
    }
    assert_eq!(pool.workers()[0].pid, None, "nothing was asked that needs a simulator");
    let new = env.step("pick up axe").unwrap();
    assert!(pool.workers()[0].pid.is_some());
    assert_eq!(new.observation.as_str(), "You move the axe to the inventory.");
    assert_eq!(fs::read(&path).unwrap(), recorded, "a replay writes nothing");
    drop((env, replaying));

    let recording = world_of(CassetteMode::Record);
    let mut env = recording.episode();
    // What is new may be asked again on the way, and what comes after it.
    for _ in 0..2 {
        env.reset(&task).unwrap();
        for action in WAY {
            env.step(action).unwrap();
        }
        assert_eq!(env.step("pick up axe").unwrap(), new);
        env.step("inventory").unwrap();
    }
    drop((env, recording));
    let extended = fs::read(&path).unwrap();
    assert!(extended.starts_with(&recorded));
    let n_lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').count();
    assert_eq!(n_lines(&extended), n_lines(&recorded) + 2);

    let alone = world(&path, CassetteMode::RefuseOnMiss, None);
    let mut env = alone.episode();
    env.reset(&task).unwrap();
    for action in WAY {
        env.step(action).unwrap();
    }
    assert_eq!(env.step("pick up axe").unwrap(), new);
    assert!(env.step("inventory").unwrap().observation.as_str().contains("an axe"));
}

#[test]
fn a_cassette_that_the_simulator_contradicts_is_an_error_of_the_environment() {
    let Some(pool) = pool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cassette.jsonl");
    let text = fs::read_to_string(fixture()).unwrap();
    fs::write(&path, text.replacen("You move to the kitchen.", "You stay.", 1)).unwrap();
    let world = world(&path, CassetteMode::Replay, Some(&pool));
    let mut env = world.episode();
    env.reset(&world.task_id("find-living-thing", 0).unwrap()).unwrap();
    env.step("open door to kitchen").unwrap();
    assert_eq!(env.step("go to kitchen").unwrap().observation.as_str(), "You stay.");
    let EnvError::Failed { message } = env.step("inventory").unwrap_err() else { panic!() };
    assert!(message.contains("action 2 (go to kitchen)"), "{message}");
}

#[test]
fn the_fixture_is_what_the_simulator_shows() {
    let Some(pool) = pool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.jsonl");
    let old = Cassette::open(&fixture(), CassetteMode::Replay).unwrap();
    let new = Cassette::open(&path, CassetteMode::Record).unwrap();
    let options = EnvironmentOptions::default();
    let world = ScienceWorld::with_cassette(new.clone(), Some(pool), options);
    let mut env = world.episode();
    for game in old.games() {
        let task = world.task_id(&game.task, game.variation).unwrap();
        // Every way through the tree, as far as it goes.
        let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
        while let Some(way) = waiting.pop() {
            let so_far: Vec<&str> = way.iter().map(String::as_str).collect();
            let next = old.actions(&game, &so_far);
            if next.is_empty() {
                env.reset(&task).unwrap();
                for action in &way {
                    env.step(action).unwrap();
                }
            }
            waiting.extend(next.into_iter().map(|action| [way.clone(), vec![action]].concat()));
        }
    }
    assert_eq!(new.n_states(), old.n_states());
    let sorted = |path: &Path| {
        // Numbers of states depend on the order in which they were recorded.
        let text = fs::read_to_string(path).unwrap();
        let number = |line: &str| line.split_once(",\"action\"").map_or(line, |l| l.1).to_owned();
        let mut lines: Vec<String> = text.lines().map(number).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&path), sorted(&fixture()));
}

#[test]
fn gold_scripts_win_and_spoiled_ones_mostly_do_not() {
    let Some(pool) = pool() else { return };
    let world = ScienceWorld::new(pool.clone(), EnvironmentOptions::default());
    let names = ["find-animal", "find-plant", "find-non-living-thing", "lifespan-longest-lived"];
    let tasks: Vec<_> = names.map(|name| world.task_id(name, 2).unwrap()).to_vec();
    let games: Vec<_> = tasks.iter().map(|task| world.game(task).unwrap()).collect();
    let scripts = gold_scripts(&pool, &games).unwrap();
    let mut n_won = 0;
    for (task, script) in tasks.iter().zip(&scripts) {
        let gold = demonstrate(&world, task, "gold", script, str::to_owned).unwrap();
        assert!(gold.is_positive(), "{task}: {:?}", gold.outcome);
        assert_eq!(gold, demonstrate(&world, task, "gold", script, str::to_owned).unwrap());
        let spoiled = Flaws { wrong_room: 1.0, ..Flaws::NONE }.spoil(script, Seed::new(3));
        let spoiled = demonstrate(&world, task, "lost", &spoiled, str::to_owned).unwrap();
        n_won += usize::from(spoiled.is_positive());
        if spoiled.outcome.end == EpisodeEnd::TurnLimit {
            assert_eq!(spoiled.n_actions(), 30);
        }
    }
    assert!(n_won < tasks.len(), "every spoiled script won");
}
