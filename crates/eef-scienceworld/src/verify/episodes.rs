//! Recorded episodes, played again.

use std::collections::BTreeMap;
use std::path::Path;

use eef_core::Seed;
use serde::Deserialize;

use super::FileCheck;
use super::tally::Tally;
use crate::episode::score_in_hundredths;
use crate::error::ScienceWorldError;
use crate::pool::{Game, Simulator, WorkerPool};

#[derive(Deserialize)]
struct Trace {
    task: String,
    variation: u32,
    simplification: String,
    task_description: String,
    initial_observation: String,
    initial_inventory: String,
    steps: Vec<Step>,
    final_valid_actions: usize,
    goal_progress: String,
}

#[derive(Deserialize)]
struct Step {
    action: String,
    observation: String,
    score: f64,
    score100: i32,
    /// The simulator's own word, which stays false where a task has failed.
    done: bool,
    moves: u32,
}

/// Plays every episode of a file, as many at once as the pool has simulators.
pub(super) fn traces(
    pool: &WorkerPool,
    file: &'static str,
    path: &Path,
    seed: Seed,
) -> Result<FileCheck, ScienceWorldError> {
    let traces = read(path)?;
    let mut order: Vec<usize> = (0..traces.len()).collect();
    if seed.get() != 0 {
        seed.derive("order of episodes", 0).rng().shuffle(&mut order);
    }
    let tallies = pool.map(&order, |simulator, index| {
        let (line, trace) = &traces[*index];
        play(simulator, *line, trace)
    })?;
    let in_order: BTreeMap<usize, Tally> = order.into_iter().zip(tallies).collect();
    let mut check = FileCheck { file, cases: 0, mismatches: 0, first: None };
    for tally in in_order.into_values() {
        check.cases += tally.cases;
        check.mismatches += tally.mismatches;
        check.first = check.first.or(tally.first);
    }
    if check.cases == 0 {
        let expected = "an episode a line".to_owned();
        return Err(ScienceWorldError::NothingToVerify { path: path.to_owned(), expected });
    }
    Ok(check)
}

fn play(simulator: &mut Simulator, line: usize, trace: &Trace) -> Result<Tally, ScienceWorldError> {
    let mut tally = Tally::default();
    let game = Game {
        task: trace.task.clone(),
        variation: trace.variation,
        simplification: trace.simplification.clone(),
    };
    tally.case(format!("line {line}: start of {game}"));
    let (description, state) = simulator.load(game)?.clone();
    tally.same("description", &description, &trace.task_description);
    tally.same("observation", &state.observation, &trace.initial_observation);
    tally.same("inventory", &simulator.inventory()?, &trace.initial_inventory);
    for (index, step) in trace.steps.iter().enumerate() {
        tally.case(format!("line {line}, step {}: {}", index + 1, step.action));
        let found = simulator.step(&step.action)?;
        tally.same("observation", &found.observation, &step.observation);
        tally.same("score", &found.score, &step.score);
        tally.same("score in hundredths", &score_in_hundredths(found.score), &step.score100);
        tally.same("completed", &found.completed, &step.done);
        tally.same("moves", &found.moves, &step.moves);
    }
    tally.case(format!("line {line}: end"));
    tally.same("goal progress", &simulator.goal_progress()?, &trace.goal_progress);
    let n_valid = simulator.valid_actions()?.len();
    tally.same("number of valid actions", &n_valid, &trace.final_valid_actions);
    Ok(tally)
}

/// The records of a file with one JSON value a line, with their lines from 1.
fn read(path: &Path) -> Result<Vec<(usize, Trace)>, ScienceWorldError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ScienceWorldError::Read { path: path.to_owned(), source })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let record = |error: serde_json::Error| ScienceWorldError::Record {
                path: path.to_owned(),
                line: number + 1,
                message: error.to_string(),
            };
            Ok((number + 1, serde_json::from_str(line).map_err(record)?))
        })
        .collect()
}
