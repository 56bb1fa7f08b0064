//! What a teacher's demonstrations are, and what they do not depend on.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(dead_code, reason = "the shared helpers serve other tests too")]

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use common::{CORRIDOR, Failing, prompt, walkers};
use eef_core::testing::Corridor;
use eef_core::{
    Author, Control, Environment, Sampling, Seed, Split, TaskId, Trajectory, TrajectoryId,
};
use eef_rollout::{Job, RolloutConfig, RolloutError, Rollouts, Start, Unit, demonstrate};

/// More tasks than one unit takes.
const LARGE: Corridor = Corridor { length: 4, n_tasks: 150, max_turns: 6 };

fn walk(
    environment: &dyn Environment,
    tasks: Vec<TaskId>,
    seed: u64,
    n_workers: usize,
) -> Result<Vec<Trajectory>, RolloutError> {
    let policies = &mut walkers(n_workers);
    let (seed, control) = (Seed::new(seed), Control::silent());
    demonstrate(environment, &prompt, "walker", policies, tasks, seed, &control)
}

#[test]
fn neither_workers_nor_the_tasks_beside_it_change_a_demonstration() {
    let tasks = LARGE.tasks(Split::Train);
    let all = walk(&LARGE, tasks.clone(), 1, 1).unwrap();
    assert!(all.iter().map(|trajectory| &trajectory.task).eq(&tasks), "in the order of the tasks");
    assert_eq!(walk(&LARGE, tasks.clone(), 1, 3).unwrap(), all);
    assert_eq!(walk(&LARGE, tasks[70..90].to_vec(), 1, 1).unwrap(), all[70..90]);
    assert_ne!(walk(&LARGE, tasks, 2, 1).unwrap(), all, "the seed decides what a walker does");
}

/// Files of demonstrations hold these ids, and runs refer to them.
#[test]
fn ids_and_seeds_are_those_of_published_demonstrations() {
    for split in [Split::Train, Split::Test] {
        let tasks = CORRIDOR.tasks(split);
        let found = walk(&CORRIDOR, tasks.clone(), 7, 1).unwrap();
        let seed = Seed::new(7).derive("walker", 0);
        let jobs = tasks.into_iter().map(|task| Job {
            id: TrajectoryId::derive(&[b"expert", b"walker", task.to_string().as_bytes()]),
            start: Start::Initial,
            sampling: Sampling::GREEDY,
            seed: seed.derive(split.name(), task.index().into()),
            round: 0,
            sample: 0,
            task,
        });
        let unit = Unit { key: "all".to_owned(), jobs: jobs.collect() };
        let config =
            RolloutConfig { author: Author::Expert("walker".into()), ..RolloutConfig::default() };
        let rollouts = Rollouts::new(&CORRIDOR, &prompt, config);
        let mut policies = walkers(1);
        let expected = rollouts.run_unit(policies[0].as_mut(), &unit, &Control::silent()).unwrap();
        assert_eq!(found, expected.trajectories);
    }
}

#[test]
fn a_task_in_which_the_environment_fails_is_an_error_and_not_a_hole() {
    let failing =
        Failing { fail_at: u64::MAX, broken: Some(2), steps: Arc::new(AtomicU64::new(0)) };
    let tasks = CORRIDOR.tasks(Split::Train);
    let message = walk(&failing, tasks.clone(), 1, 2).unwrap_err().to_string();
    assert!(message.contains("walker: the environment failed in 1 of the tasks"), "{message}");
    let broken = tasks[2].to_string();
    assert!(message.contains(&broken) && message.contains("the worker died"), "{message}");
}
