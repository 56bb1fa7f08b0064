//! Recorded episodes played again from a cassette: no Java, no jar.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use eef_core::{Env as _, ExpertName, TaskId, TrajectoryId};
use eef_scienceworld::recorded::{
    Divergence, Normalizer, Recorded, RecordedTurn, Replayed, replay,
};
use eef_scienceworld::{Cassette, CassetteMode, EnvironmentOptions, ScienceWorld};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scienceworld/find.jsonl")
}

fn world(path: &Path) -> ScienceWorld {
    let cassette = Cassette::open(path, CassetteMode::RefuseOnMiss).unwrap();
    ScienceWorld::with_cassette(cassette, None, EnvironmentOptions::default())
}

/// The recorded solution of a task: its opening as AgentGym tells it, and its turns.
fn solution(world: &ScienceWorld, task: &TaskId) -> (String, Vec<RecordedTurn>) {
    let cassette = Cassette::open(&fixture(), CassetteMode::RefuseOnMiss).unwrap();
    let game = world.game(task).unwrap();
    let mut episode = world.episode();
    let opening = episode.reset(task).unwrap();
    let mut turns: Vec<RecordedTurn> = Vec::new();
    loop {
        let so_far: Vec<&str> = turns.iter().map(|turn| turn.reply.as_str()).collect();
        let reply = cassette.actions(&game, &so_far).pop().unwrap();
        let found = episode.step(&reply).unwrap();
        turns.push(RecordedTurn { reply, answer: Some(found.observation.as_str().to_owned()) });
        if found.terminated {
            let message = format!("{}\n{}", opening.instruction, opening.observation.as_str());
            return (message, turns);
        }
    }
}

fn again(
    world: &ScienceWorld,
    task: &TaskId,
    (opening, turns): &(String, Vec<RecordedTurn>),
    normalizer: Normalizer,
) -> Option<Replayed> {
    let expert = ExpertName::from("gpt-4");
    let id = TrajectoryId::derive(&[b"recorded"]);
    let recorded = Recorded { id, expert: &expert, opening, turns };
    replay(world, task, &recorded, normalizer).unwrap()
}

#[test]
fn what_is_recorded_is_played_again() {
    let world = world(&fixture());
    let task = world.task_id("find-plant", 150).unwrap();
    let record = solution(&world, &task);
    let replayed = again(&world, &task, &record, Normalizer::Off).unwrap();
    let counts = (replayed.n_reordered, replayed.n_respelt, replayed.n_rephrased);
    assert_eq!((counts, &replayed.divergence), ((0, 0, 0), &None));
    let trajectory = &replayed.trajectory;
    assert!(trajectory.is_positive());
    assert_eq!(trajectory.steps.len(), record.1.len());
    // Another task's description.
    let other = world.task_id("find-living-thing", 0).unwrap();
    assert_eq!(again(&world, &other, &record, Normalizer::Off), None);
}

#[test]
fn old_words_are_understood_with_the_normalizer_alone() {
    let world = world(&fixture());
    let task = world.task_id("find-living-thing", 0).unwrap();
    let old = |text: &str| text.replace("greenhouse", "green house");
    let (opening, mut turns) = solution(&world, &task);
    assert!(opening.contains("greenhouse"), "{opening}");
    // A listing in another order.
    let place = turns.iter().position(|turn| turn.reply == "look around").unwrap_or(0);
    let answer = turns[place].answer.clone().unwrap();
    let reversed: Vec<&str> = answer.split(' ').rev().collect();
    turns[place].answer = Some(reversed.join(" "));
    for turn in &mut turns {
        turn.reply = old(&turn.reply);
        turn.answer = turn.answer.as_deref().map(old);
    }
    let n_old = turns.iter().filter(|turn| turn.reply.contains("green house")).count();
    let record = (old(&opening), turns);
    let replayed = again(&world, &task, &record, Normalizer::AgentTraj).unwrap();
    assert_eq!((replayed.n_reordered, replayed.n_respelt), (1, n_old));
    assert!(replayed.divergence.is_none() && replayed.trajectory.is_positive());
    // As it stands, already the start differs.
    let (opening, _) = record;
    let nothing_said = (opening, Vec::new());
    let replayed = again(&world, &task, &nothing_said, Normalizer::Off).unwrap();
    assert!(matches!(replayed.divergence, Some(Divergence::Answer { turn: None, .. })));
}

#[test]
fn where_a_record_goes_otherwise_is_told_and_the_rest_is_played() {
    let world = world(&fixture());
    let task = world.task_id("find-plant", 150).unwrap();
    let (opening, turns) = solution(&world, &task);
    let mut other = turns.clone();
    other[2].answer = Some("The door is locked.".to_owned());
    let replayed = again(&world, &task, &(opening.clone(), other), Normalizer::Off).unwrap();
    let expected = Divergence::Answer {
        turn: Some(2),
        recorded: "The door is locked.".to_owned(),
        shown: turns[2].answer.clone().unwrap(),
    };
    assert_eq!(replayed.divergence, Some(expected));
    assert!(replayed.trajectory.is_positive());
    // A record that goes on where the episode has ended.
    let mut longer = turns.clone();
    longer.extend(turns.clone());
    let replayed = again(&world, &task, &(opening, longer), Normalizer::Off).unwrap();
    assert_eq!(replayed.divergence, Some(Divergence::Ended(turns.len())));
    assert_eq!(replayed.trajectory.steps.len(), turns.len());
}

#[test]
fn what_is_not_understood_is_said_otherwise_where_the_record_was_understood() {
    const OLD: &str = "connect book terminal 1 to red wire terminal 2";
    const NEW: &str = "connect book to red wire terminal 2";
    const UNKNOWN: &str = "No known action matches that input.";
    let line = |action: &str, observation: &str| {
        let state =
            format!(r#"{{"observation":"{observation}","score":0.0,"completed":false,"moves":1}}"#);
        format!(r#"{{"after":0,"action":"{action}","state":{state}}}"#)
    };
    // The first start, and two actions after it.
    let text = fs::read_to_string(fixture()).unwrap();
    let mut lines: Vec<String> = text.lines().take(2).map(str::to_owned).collect();
    lines.extend([line(OLD, UNKNOWN), line(NEW, "book is now connected")]);
    lines.push(String::new());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recorded");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("connect.jsonl");
    fs::write(&path, lines.join("\n")).unwrap();
    let world = world(&path);
    let task = world.task_id("find-living-thing", 0).unwrap();
    let opening = world.episode().reset(&task).unwrap();
    let message = format!("{}\n{}", opening.instruction, opening.observation.as_str());
    let said = |answer: &str, normalizer| {
        let turn = RecordedTurn { reply: OLD.to_owned(), answer: Some(answer.to_owned()) };
        again(&world, &task, &(message.clone(), vec![turn]), normalizer).unwrap()
    };
    let replayed = said("book is now connected", Normalizer::AgentTraj);
    assert_eq!((replayed.n_rephrased, &replayed.divergence), (1, &None));
    assert_eq!(replayed.trajectory.steps[0].reply, NEW);
    let replayed = said("book is now connected", Normalizer::Off);
    let is_unknown = |shown: &str| shown == UNKNOWN;
    let divergence = replayed.divergence;
    assert!(matches!(divergence, Some(Divergence::Answer { shown, .. }) if is_unknown(&shown)));
    // The teacher itself was not understood: that is what is learned from.
    let replayed = said(UNKNOWN, Normalizer::AgentTraj);
    assert_eq!((replayed.n_rephrased, &replayed.divergence), (0, &None));
    assert_eq!(replayed.trajectory.steps[0].reply, OLD);
}
