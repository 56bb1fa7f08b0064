//! Tunes a tabular policy from a teacher's failures in a corridor of rooms, by RFT and by EEF.
//!
//! `cargo run -p eef --example tune_in_a_corridor --features testing`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::sync::Arc;

use eef::testing::{TabularLearner, opening};
use eef::{Config, MethodOptions, Setup, iterate, method};
use eef_core::testing::{Corridor, FunctionPolicy};
use eef_core::{Control, Environment, Policy, Seed, Split, Trajectory};
use eef_rollout::{RolloutConfig, demonstrate};
use eef_store::MemoryStore;

fn main() -> Result<(), Box<dyn Error>> {
    let corridor = Corridor { length: 8, n_tasks: 16, max_turns: 20 };
    let experts = teach(&corridor)?;
    let won = experts.iter().filter(|expert| expert.is_positive()).count();
    println!("the teacher solves {won} of {} training tasks", experts.len());

    let learner = TabularLearner::new("take");
    let directory = std::env::temp_dir().join(format!("eef-corridor-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let base = directory.join("base");
    learner.write_base(&base)?;
    let setup = Setup {
        environment: &corridor,
        opening: &opening,
        learner: &learner,
        base: &base,
        experts: &experts,
        skills: &[],
        action_name: &|_| None,
        fingerprint: "corridor example",
        n_workers: 1,
        rollouts: RolloutConfig::default(),
    };
    for name in ["rft", "eef"] {
        let method = method(name, &MethodOptions::default())?;
        let (store, config) = (MemoryStore::new(), Config::default());
        let here = directory.join(name);
        let control = Control::silent();
        let report = iterate(&setup, &config, method.as_ref(), &store, &here, &control)?;
        for round in &report.rounds {
            println!(
                "{name} round {}: {} simulations, {} tasks solved, {} recoveries, validation {:.0} %",
                round.round,
                round.n_simulations,
                round.n_solved_tasks,
                round.n_recoveries,
                100.0 * round.validation.win_rate.mean
            );
        }
        let (before, after) = (&report.test_of_imitation.win_rate, &report.test.win_rate);
        println!("{name}: test {:.0} % -> {:.0} %", 100.0 * before.mean, 100.0 * after.mean);
    }
    Ok(std::fs::remove_dir_all(&directory)?)
}

/// A teacher that walks past goals beyond room 2, and takes too late.
fn teach(corridor: &Corridor) -> Result<Vec<Arc<Trajectory>>, Box<dyn Error>> {
    let mut teacher: Vec<Box<dyn Policy>> =
        vec![Box::new(FunctionPolicy::new(|texts: &[String], _| {
            let number = |text: &str| -> usize {
                text.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
            };
            let goal = texts[0].lines().next().map_or(0, number);
            let room = texts.last().map_or(0, |text| number(text));
            let stop = if goal > 2 { goal + 2 } else { goal };
            if room < stop.min(7) { "right".to_owned() } else { "take".to_owned() }
        }))];
    let (tasks, control) = (corridor.tasks(Split::Train), Control::silent());
    let seed = Seed::new(1);
    let plain = |start: &eef_core::Opening| opening(start, None);
    let experts = demonstrate(corridor, &plain, "teacher", &mut teacher, tasks, seed, &control)?;
    Ok(experts.into_iter().map(Arc::new).collect())
}
