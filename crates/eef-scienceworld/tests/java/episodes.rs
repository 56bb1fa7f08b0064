//! Episodes as environments play them, and what the jar says of its tasks.

use eef_core::{Env, EnvError, Environment, Split, TaskId};
use eef_scienceworld::{
    EnvironmentOptions, Game, PoolOptions, ScienceWorld, ScienceWorldError, TASKS, TaskSet,
    WorkerPool,
};

use crate::{jar, options, pool, shared};

fn game(task: &str, variation: u32) -> Game {
    Game { task: task.to_owned(), variation, simplification: String::new() }
}

#[test]
fn the_table_of_tasks_is_the_jars() {
    let Some(pool) = pool() else { return };
    let mut simulator = pool.simulator();
    let mut found = simulator.tasks().unwrap();
    found.sort();
    let mut expected = TASKS.map(|task| (task.name.to_owned(), task.n_variations)).to_vec();
    expected.sort();
    assert_eq!(found, expected);
    for task in TASKS {
        simulator.load(game(task.name, 0)).unwrap();
        let expected = Split::ALL.map(|split| task.variations(split).collect::<Vec<_>>());
        assert_eq!(simulator.splits().unwrap(), expected, "{}", task.name);
    }
}

#[test]
fn numbers_of_games_are_agentgyms() {
    let Some(shared) = shared() else { return };
    let path = shared.join("data/scienceworld/agentgym_games_index.json");
    let index: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let tasks = index["tasks"].as_object().unwrap();
    assert_eq!(tasks.len(), TASKS.len());
    for task in TASKS {
        let recorded = &tasks[task.name];
        let counts = Split::ALL.map(|split| task.variations(split).len() as u64);
        let expected = ["train", "dev", "test"].map(|split| recorded[split].as_u64().unwrap());
        assert_eq!(counts, expected, "{}", task.name);
        assert_eq!(recorded["task_id"], task.id);
        let is_played = TaskSet::AgentGym.tasks().any(|other| other == task);
        match recorded["first_index"].as_u64() {
            Some(first) => {
                assert_eq!(TaskSet::AgentGym.game(first as u32), Some((task, 0)));
                let last = first as u32 + task.n_variations - 1;
                assert_eq!(TaskSet::AgentGym.game(last), Some((task, task.n_variations - 1)));
            }
            None => assert!(!is_played, "{}", task.name),
        }
    }
}

#[test]
fn a_wrong_focus_ends_an_episode_without_reward_and_the_last_score_counts() {
    let Some(pool) = pool() else { return };
    let world = ScienceWorld::new(pool, EnvironmentOptions::default());
    let task = world.task_id("find-living-thing", 230).unwrap();
    assert_eq!(task.split(), Split::Test);
    let mut env = world.instance().unwrap();
    let opening = env.reset(&task).unwrap();
    assert!(opening.instruction.contains("find a(n) living thing"), "{}", opening.instruction);
    let look = env.step("look around").unwrap();
    assert_eq!((look.reward.get(), look.terminated), (0.0, false));
    assert_eq!(look.observation, opening.observation);
    // The agent is in a room, and that is worth something; then all is lost.
    let invalid = env.step("  ").unwrap();
    let expected = format!("Invalid Action.\n\n{}", opening.observation);
    assert_eq!((invalid.observation.as_str(), invalid.terminated), (&*expected, false));
    let unknown = env.step("dance with the air").unwrap();
    assert_eq!(unknown.observation.as_str(), "No known action matches that input.");
    let focus = env.step("focus on air").unwrap();
    assert!(focus.terminated, "{focus:?}");
    assert_eq!(focus.reward.get(), 0.0);
    assert_eq!(env.step("look around"), Err(EnvError::NotRunning));
    let other = TaskId::new("webshop", Split::Test, 0);
    assert!(matches!(env.reset(&other), Err(EnvError::UnknownTask { .. })));
}

#[test]
fn asking_for_valid_actions_changes_nothing() {
    let Some(pool) = pool() else { return };
    let world = ScienceWorld::new(pool.clone(), EnvironmentOptions::default());
    // Bees fly about in the greenhouse, at random.
    let actions = ["open door to greenhouse", "go to greenhouse", "wait1", "look around"];
    let game = game("find-animal", 240);
    let mut plain = pool.simulator();
    plain.load(game.clone()).unwrap();
    let mut asked = world.episode();
    asked.reset(&world.task_id(&game.task, game.variation).unwrap()).unwrap();
    let mut asking = pool.simulator();
    asking.load(game).unwrap();
    for action in actions {
        let valid = asked.valid_actions().unwrap();
        assert!(valid.len() > 50 && valid.is_sorted(), "{valid:?}");
        assert_eq!(asking.valid_actions().unwrap(), valid);
        let expected = plain.step(action).unwrap().clone();
        assert_eq!(*asking.step(action).unwrap(), expected);
        assert_eq!(asked.step(action).unwrap().observation.as_str(), expected.observation);
    }
    assert_eq!(asked.timeline(), plain.timeline());
}

#[test]
fn an_unknown_task_variation_or_simplification_is_one_line() {
    let Some(pool) = pool() else { return };
    let mut simulator = pool.simulator();
    let games = [
        game("find-rock", 0),
        game("find-plant", 300),
        Game { simplification: "bogus".to_owned(), ..game("find-plant", 0) },
    ];
    for game in games {
        let error = simulator.load(game).unwrap_err();
        assert!(matches!(error, ScienceWorldError::Refused { .. }), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
    simulator.load(game("find-plant", 0)).unwrap();
    assert_eq!(pool.workers()[0].n_restarts, 0);
}

#[test]
fn simplifications_do_not_reach_the_episode_beside() {
    let Some(pool) = pool() else { return };
    let easy = Game { simplification: "easy".to_owned(), ..game("boil", 0) };
    let [mut first, mut second] = [pool.simulator(), pool.simulator()];
    first.load(easy).unwrap();
    second.load(game("boil", 0)).unwrap();
    let teleports = |actions: Vec<String>| actions.iter().any(|a| a.starts_with("teleport"));
    assert!(teleports(first.valid_actions().unwrap()));
    assert!(!teleports(second.valid_actions().unwrap()));
}

#[test]
fn a_pool_that_is_full_says_what_to_raise() {
    let Some(jar) = jar() else { return };
    let pool = WorkerPool::new(jar, PoolOptions { simulators_per_worker: 1, ..options() }).unwrap();
    let mut first = pool.simulator();
    first.load(game("boil", 0)).unwrap();
    let mut second = pool.simulator();
    let error = second.load(game("boil", 0)).unwrap_err();
    assert!(matches!(error, ScienceWorldError::Full { n_simulators: 1, .. }), "{error}");
    drop(first);
    second.load(game("boil", 0)).unwrap();
}
