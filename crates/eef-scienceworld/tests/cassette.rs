//! Episodes from a cassette: no Java, no jar.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use eef_core::{Env, EnvError, Environment, Split};
use eef_scienceworld::{
    Cassette, CassetteMode, EnvironmentOptions, ScienceWorld, ScienceWorldError,
};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scienceworld/find.jsonl")
}

fn world(path: &Path) -> ScienceWorld {
    let cassette = Cassette::open(path, CassetteMode::RefuseOnMiss).unwrap();
    ScienceWorld::with_cassette(cassette, None, EnvironmentOptions::default())
}

/// The fixture's lines, changed, as a file.
fn changed(name: &str, change: impl FnOnce(&mut Vec<String>)) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cassette");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    let text = fs::read_to_string(fixture()).unwrap();
    let mut lines = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    // Every line has its end, and no line has none.
    lines.push(String::new());
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

#[test]
fn recorded_games_are_won_and_lost_without_java() {
    let cassette = Cassette::open(&fixture(), CassetteMode::RefuseOnMiss).unwrap();
    let world = world(&fixture());
    let mut n_won = 0;
    for game in cassette.games() {
        let task = world.task_id(&game.task, game.variation).unwrap();
        let mut env = world.instance().unwrap();
        env.reset(&task).unwrap();
        let mut taken: Vec<String> = Vec::new();
        loop {
            let so_far: Vec<&str> = taken.iter().map(String::as_str).collect();
            // Of several, the last by name leads on: the other looks around and focuses wrongly.
            let action = cassette.actions(&game, &so_far).pop().unwrap();
            let found = env.step(&action).unwrap();
            taken.push(action);
            if found.terminated {
                assert!(found.reward.is_positive(), "{game}: {found:?}");
                n_won += 1;
                break;
            }
            assert!(!found.reward.is_positive());
        }
    }
    assert_eq!(n_won, 3);
    let mut env = world.instance().unwrap();
    env.reset(&world.task_id("find-living-thing", 0).unwrap()).unwrap();
    env.step("look around").unwrap();
    let lost = env.step("focus on air").unwrap();
    assert_eq!((lost.terminated, lost.reward.get()), (true, 0.0));
}

#[test]
fn what_is_not_recorded_is_refused_by_name() {
    let world = world(&fixture());
    let mut env = world.instance().unwrap();
    let boil = world.task_id("boil", 0).unwrap();
    let EnvError::Failed { message } = env.reset(&boil).unwrap_err() else { panic!() };
    assert!(message.contains("the start of boil variation 0"), "{message}");
    assert!(message.contains("record it with Java"), "{message}");
    let find = world.task_id("find-living-thing", 0).unwrap();
    env.reset(&find).unwrap();
    env.step("look around").unwrap();
    let EnvError::Failed { message } = env.step("dance").unwrap_err() else { panic!() };
    assert!(message.contains("`dance` after 1 actions of find-living-thing"), "{message}");
    // Such an episode has ended; another can begin.
    assert_eq!(env.step("focus on air"), Err(EnvError::NotRunning));
    env.reset(&find).unwrap();
    let mut episode = world.episode();
    episode.reset(&find).unwrap();
    let error = episode.valid_actions().unwrap_err();
    assert!(matches!(error, ScienceWorldError::NotRecorded { .. }), "{error}");
}

#[test]
fn an_invalid_reply_shows_the_last_observation_again_and_takes_no_move() {
    let cassette = Cassette::open(&fixture(), CassetteMode::RefuseOnMiss).unwrap();
    fn read_action(reply: &str) -> Option<&str> {
        reply.rsplit_once("Action:").map(|(_, action)| action.trim())
    }
    let options = EnvironmentOptions { read_action, ..EnvironmentOptions::default() };
    let world = ScienceWorld::with_cassette(cassette, None, options);
    let mut env = world.episode();
    let opening = env.reset(&world.task_id("find-living-thing", 0).unwrap()).unwrap();
    let invalid = env.step("go to kitchen").unwrap();
    let text = format!("Invalid Action.\n\n{}", opening.observation);
    assert_eq!(invalid.observation.as_str(), text);
    assert_eq!((invalid.action.as_str(), invalid.terminated), ("go to kitchen", false));
    let first = env.step("Thought:\nI look.\n\nAction:\nopen door to kitchen\n").unwrap();
    assert_eq!(first.action.as_str(), "open door to kitchen");
    assert_eq!((first.observation.as_str(), first.reward.get()), ("The door is now open.", 0.08));
    let invalid = env.step("I am lost").unwrap();
    assert_eq!(invalid.observation.as_str(), "Invalid Action.\n\nThe door is now open.");
    assert_eq!(invalid.reward.get(), 0.0);
    let next = env.step("Action: go to kitchen").unwrap();
    assert_eq!(next.reward.get(), 0.25);
    assert_eq!(env.timeline().unwrap().steps.len(), 2);
}

#[test]
fn moves_beyond_the_limit_end_an_episode() {
    let cassette = Cassette::open(&fixture(), CassetteMode::RefuseOnMiss).unwrap();
    let options = EnvironmentOptions { max_moves: 1, ..EnvironmentOptions::default() };
    let world = ScienceWorld::with_cassette(cassette, None, options);
    let mut env = world.instance().unwrap();
    env.reset(&world.task_id("find-living-thing", 0).unwrap()).unwrap();
    assert!(!env.step("open door to kitchen").unwrap().terminated);
    let end = env.step("go to kitchen").unwrap();
    assert_eq!((end.terminated, end.reward.get()), (true, 0.25));
}

/// Something that is done to a cassette's lines.
type Change<'a> = &'a dyn Fn(&mut Vec<String>);

#[test]
fn damaged_and_foreign_files_are_refused_with_their_line() {
    let other_jar = |lines: &mut Vec<String>| lines[0] = lines[0].replace("f4e1fdce", "00000000");
    let other_flags = |lines: &mut Vec<String>| lines[0] = lines[0].replace("=2", "=3");
    let other_version = |lines: &mut Vec<String>| {
        lines[0] = lines[0].replace("\"version\":1", "\"version\":2");
    };
    let unknown_key =
        |lines: &mut Vec<String>| lines[2] = lines[2].replace("\"action\"", "\"deed\"");
    let twice = |lines: &mut Vec<String>| lines.insert(3, lines[2].clone());
    let started_twice = |lines: &mut Vec<String>| lines.insert(3, lines[1].clone());
    let before_its_time =
        |lines: &mut Vec<String>| lines[2] = lines[2].replace("\"after\":0", "\"after\":9");
    let cases: [(&str, Change<'_>, usize, &str); 8] = [
        ("jar", &other_jar, 1, "record it again"),
        ("flags", &other_flags, 1, "record it again"),
        ("version", &other_version, 1, "version 2: expected"),
        ("empty", &|lines| lines.clear(), 1, "is empty"),
        ("key", &unknown_key, 3, "neither a start nor a step"),
        ("twice", &twice, 4, "a second time"),
        ("started", &started_twice, 4, "starts a second time"),
        ("order", &before_its_time, 3, "comes after state 9"),
    ];
    for (name, change, line, text) in cases {
        let path = changed(name, change);
        let error = Cassette::open(&path, CassetteMode::Replay).unwrap_err();
        let ScienceWorldError::Cassette { line: found, .. } = &error else { panic!("{error}") };
        assert_eq!(*found, line, "{error}");
        assert!(error.to_string().contains(text), "{name}: {error}");
    }
}

#[test]
fn a_line_cut_off_while_it_was_written_is_left_out() {
    let path = changed("cut", |_| ());
    let whole = fs::read(&path).unwrap();
    let n_states = Cassette::open(&path, CassetteMode::Replay).unwrap().n_states();
    fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    let cut = Cassette::open(&path, CassetteMode::Replay).unwrap();
    assert_eq!(cut.n_states(), n_states - 1);
    assert_eq!(fs::read(&path).unwrap().len(), whole.len() - 7);
    // To go on recording, the rest of the line is taken away.
    drop(Cassette::open(&path, CassetteMode::Record).unwrap());
    let mended = fs::read(&path).unwrap();
    assert!(mended.ends_with(b"\n") && whole.starts_with(&mended));
    assert!(mended.len() < whole.len() - 7);
}

#[test]
fn only_one_process_records_into_a_file() {
    let path = changed("busy", |_| ());
    let first = Cassette::open(&path, CassetteMode::Record).unwrap();
    let error = Cassette::open(&path, CassetteMode::Record).unwrap_err();
    assert!(matches!(error, ScienceWorldError::CassetteBusy { .. }), "{error}");
    drop(first);
    Cassette::open(&path, CassetteMode::Record).unwrap();
}

#[test]
fn ids_of_tasks_and_games_belong_together() {
    let world = world(&fixture());
    assert_eq!(world.name(), "scienceworld");
    for split in Split::ALL {
        let tasks = world.tasks(split);
        for task in [&tasks[0], &tasks[tasks.len() / 2], &tasks[tasks.len() - 1]] {
            let game = world.game(task).unwrap();
            assert_eq!(world.task_id(&game.task, game.variation).as_ref(), Some(task));
        }
    }
    assert_eq!(world.task_id("grow-fruit", 0), None);
    assert_eq!(world.max_turns(), 30);
}
