//! What rollouts promise: the same results whatever the workers and delays, and every job a
//! trajectory or an incident.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use common::{CORRIDOR, Dripping, Failing, Slow, job, prompt, units, walkers};
use eef_core::testing::FunctionPolicy;
use eef_core::{
    Author, Control, Environment, EpisodeEnd, Event, IncidentKind, Interrupt, Observation, Origin,
    Parent, Policy, PolicyError, Progress, Reply, ReplyEnd, Silent, Split, TaskId, Trajectory,
    Turn,
};
use eef_rollout::{RolloutConfig, RolloutError, Rollouts, Start, Unit, UnitResult};

fn run(
    environment: &dyn Environment,
    policies: &mut [Box<dyn Policy>],
    units: &[Unit],
    config: RolloutConfig,
) -> Result<Vec<UnitResult>, RolloutError> {
    let mut results = Vec::new();
    let rollouts = Rollouts::new(environment, &prompt, config);
    rollouts.run("test", policies, units, &Control::silent(), &mut |result| {
        results.push(result);
        Ok(())
    })?;
    Ok(results)
}

fn says(text: &'static str) -> Vec<Box<dyn Policy>> {
    vec![Box::new(FunctionPolicy::new(move |_: &[String], _| text.to_owned()))]
}

fn one_unit(jobs: Vec<eef_rollout::Job>) -> Vec<Unit> {
    vec![Unit { key: "unit".to_owned(), jobs }]
}

fn task(index: u32) -> TaskId {
    TaskId::new("corridor", Split::Train, index)
}

/// A teacher's trajectory in the corridor, by saying `replies` in turn.
fn expert(index: u32, replies: &[&str]) -> Arc<Trajectory> {
    let mut left: Vec<String> = replies.iter().rev().map(|reply| (*reply).to_owned()).collect();
    let policy = FunctionPolicy::new(move |_: &[String], _| left.pop().unwrap_or_default());
    let config =
        RolloutConfig { author: Author::Expert("teacher".into()), ..RolloutConfig::default() };
    let units = one_unit(vec![job(task(index), 0, Start::Initial)]);
    let mut results = run(&CORRIDOR, &mut [Box::new(policy)], &units, config).unwrap();
    Arc::new(results.remove(0).trajectories.remove(0))
}

#[test]
fn workers_delays_and_threads_change_nothing() {
    let units = units(4);
    let plain = run(&CORRIDOR, &mut walkers(1), &units, RolloutConfig::default()).unwrap();
    assert_eq!(plain.iter().map(|result| result.trajectories.len()).sum::<usize>(), 12);
    let positive = plain.iter().flat_map(|result| &result.trajectories).filter(|t| t.is_positive());
    assert!((1..12).contains(&positive.count()), "the walk should win some and lose some");
    for seed in 0..3 {
        let threads = RolloutConfig { n_environment_threads: 3, ..RolloutConfig::default() };
        for (n_workers, config) in
            [(3, RolloutConfig::default()), (1, threads.clone()), (2, threads)]
        {
            assert_eq!(run(&Slow(seed), &mut walkers(n_workers), &units, config).unwrap(), plain);
        }
    }
    let mut dripping: Vec<Box<dyn Policy>> =
        vec![Box::new(Dripping::new()), Box::new(Dripping::new())];
    assert_eq!(run(&Slow(9), &mut dripping, &units, RolloutConfig::default()).unwrap(), plain);
}

#[test]
fn a_rollout_from_an_experts_state_continues_the_replayed_conversation() {
    let expert = expert(2, &["right", "left", "right", "take"]);
    assert_eq!(expert.origin, Origin::Expert { name: "teacher".into() });
    assert_eq!(expert.n_expert_actions(), 4);
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let record = Arc::clone(&heard);
    let policy = FunctionPolicy::new(move |texts: &[String], _| {
        record.lock().unwrap().push(texts.to_vec());
        if texts.len() > 3 { "take".to_owned() } else { "right".to_owned() }
    });
    let start = Start::Replay { expert: Arc::clone(&expert), n_actions: 1 };
    let units = one_unit(vec![job(task(2), 3, start)]);
    let results = run(&CORRIDOR, &mut [Box::new(policy)], &units, RolloutConfig::default());
    let trajectory = &results.unwrap()[0].trajectories[0];
    assert!(trajectory.is_positive());
    let parent = Some(Parent { trajectory: expert.id, n_actions: 1 });
    assert_eq!(trajectory.origin, Origin::Rollout { round: 2, sample: 3, parent });
    assert_eq!((trajectory.n_replayed(), trajectory.n_expert_actions()), (1, 1));
    assert_eq!(trajectory.state_keys()[..2], expert.state_keys()[..2]);
    let heard = heard.lock().unwrap();
    assert_eq!(heard[0], ["take room 2. room 0", "right", "room 1"]);
    assert_eq!(heard[1], ["take room 2. room 0", "right", "room 1", "right", "room 2"]);
}

#[test]
fn a_replay_that_diverges_is_an_incident_and_no_trajectory() {
    let recorded = expert(3, &["right", "right", "right", "take"]);
    let mut moved = (*recorded).clone();
    moved.steps[1].observation = Observation::new("room 7");
    let mut renamed = (*recorded).clone();
    renamed.instruction = "take room 9".to_owned();
    let units = one_unit(vec![
        job(task(3), 0, Start::Replay { expert: Arc::new(moved), n_actions: 2 }),
        job(task(3), 1, Start::Replay { expert: recorded, n_actions: 2 }),
        job(task(3), 2, Start::Replay { expert: Arc::new(renamed), n_actions: 1 }),
    ]);
    let results = run(&CORRIDOR, &mut says("take"), &units, RolloutConfig::default()).unwrap();
    assert_eq!(results[0].trajectories.len(), 1);
    assert_eq!(results[0].trajectories[0].id, units[0].jobs[1].id);
    let diverged = |at_action, expected, found| IncidentKind::Diverged {
        at_action,
        expected: Observation::new(expected),
        found: Observation::new(found),
    };
    let kinds: Vec<_> = results[0].incidents.iter().map(|incident| incident.kind.clone()).collect();
    assert_eq!(kinds, [diverged(1, "room 7", "room 2"), diverged(0, "take room 9", "take room 3")]);
}

#[test]
fn the_turn_limit_counts_replayed_actions() {
    let expert = expert(3, &["right", "right", "right", "take"]);
    let units = one_unit(vec![
        job(task(3), 0, Start::Initial),
        job(task(3), 1, Start::Replay { expert, n_actions: 3 }),
    ]);
    let results = run(&CORRIDOR, &mut says("left"), &units, RolloutConfig::default()).unwrap();
    for trajectory in &results[0].trajectories {
        assert_eq!(trajectory.n_actions(), CORRIDOR.max_turns);
        assert_eq!(trajectory.outcome.end, EpisodeEnd::TurnLimit);
        assert!(!trajectory.is_positive());
    }
    assert_eq!(results[0].trajectories[1].n_expert_actions(), 3);
}

#[test]
fn an_environment_that_fails_once_costs_nothing_and_one_that_stays_broken_is_an_incident() {
    let units = units(6);
    let plain = run(&CORRIDOR, &mut walkers(1), &units, RolloutConfig::default()).unwrap();
    let mut n_compared = 0;
    for fail_at in [1, 5, 17] {
        let environment = Failing { fail_at, broken: None, steps: Arc::new(AtomicU64::new(0)) };
        let results = run(&environment, &mut walkers(1), &units, RolloutConfig::default()).unwrap();
        assert_eq!(results, plain, "failed at step {fail_at}");
        n_compared += 1;
    }
    assert_eq!(n_compared, 3);

    let steps = Arc::new(AtomicU64::new(0));
    let environment = Failing { fail_at: 0, broken: Some(7), steps };
    let results = run(&environment, &mut walkers(2), &units, RolloutConfig::default()).unwrap();
    let incidents: Vec<_> = results.iter().flat_map(|result| &result.incidents).collect();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].task, task(7));
    assert!(matches!(
        &incidents[0].kind,
        IncidentKind::EnvironmentError { message } if message.contains("the worker died")
    ));
    let others: Vec<_> = results.iter().flat_map(|result| result.trajectories.clone()).collect();
    let expected: Vec<_> = plain
        .iter()
        .flat_map(|result| result.trajectories.clone())
        .filter(|trajectory| trajectory.task != task(7))
        .collect();
    assert_eq!(others, expected);
}

#[test]
fn an_interrupt_discards_the_unit_in_progress_and_the_rest_gives_the_same() {
    let units = units(3);
    let plain = run(&CORRIDOR, &mut walkers(1), &units, RolloutConfig::default()).unwrap();
    let interrupt = Interrupt::default();
    let mut first = Vec::new();
    let rollouts = Rollouts::new(&CORRIDOR, &prompt, RolloutConfig::default());
    // A channel of progress that asks to stop after the second unit's second episode.
    struct StopAt(Interrupt, u64);
    impl Progress for StopAt {
        fn report(&self, event: Event) {
            if matches!(event, Event::Advanced { done, .. } if done == self.1) {
                self.0.request();
            }
        }
    }
    let progress = StopAt(interrupt.clone(), 5);
    let control = Control::new(&progress, interrupt);
    let error = rollouts
        .run("test", &mut walkers(1), &units, &control, &mut |result| {
            first.push(result);
            Ok(())
        })
        .unwrap_err();
    assert!(matches!(error, RolloutError::Interrupted { n_committed: 1, n_units: 4 }), "{error}");
    let rest = run(&CORRIDOR, &mut walkers(2), &units[1..], RolloutConfig::default()).unwrap();
    first.extend(rest);
    assert_eq!(first, plain);
}

#[test]
fn a_context_that_is_full_ends_the_episode_there() {
    struct Full;
    impl Policy for Full {
        fn step(&mut self, turns: Vec<Turn>) -> Result<Vec<Reply>, PolicyError> {
            let full = |turn: Turn| Reply {
                conversation: turn.conversation,
                text: String::new(),
                sampled: None,
                end: ReplyEnd::ContextFull,
            };
            Ok(turns.into_iter().map(full).collect())
        }
        fn close(&mut self, _: eef_core::ConversationId) {}
        fn reset(&mut self) {}
    }
    let units = one_unit(vec![job(task(1), 0, Start::Initial)]);
    let results = run(&CORRIDOR, &mut [Box::new(Full)], &units, RolloutConfig::default()).unwrap();
    let trajectory = &results[0].trajectories[0];
    assert_eq!((trajectory.n_actions(), trajectory.outcome.end), (0, EpisodeEnd::ContextFull));
}

#[test]
fn mistakes_are_named() {
    let config = RolloutConfig::default;
    let expert = expert(1, &["right", "take"]);
    let start = Start::Replay { expert, n_actions: 2 };
    let units = one_unit(vec![job(task(1), 0, start)]);
    let error = run(&CORRIDOR, &mut says("take"), &units, config()).unwrap_err();
    assert!(error.to_string().contains("cannot replay 2 actions of a trajectory that has 2"));

    let units = one_unit(vec![job(task(99), 0, Start::Initial)]);
    let error = run(&CORRIDOR, &mut says("take"), &units, config()).unwrap_err();
    assert!(matches!(error, RolloutError::UnknownTask { .. }), "{error}");
    let error = run(&CORRIDOR, &mut [], &units, config()).unwrap_err();
    assert!(matches!(error, RolloutError::NoPolicy { n_units: 1 }), "{error}");

    struct Mute;
    impl Policy for Mute {
        fn step(&mut self, _: Vec<Turn>) -> Result<Vec<Reply>, PolicyError> {
            Ok(Vec::new())
        }
        fn close(&mut self, _: eef_core::ConversationId) {}
        fn reset(&mut self) {}
    }
    let units = one_unit(vec![job(task(1), 0, Start::Initial)]);
    let error = run(&CORRIDOR, &mut [Box::new(Mute)], &units, config()).unwrap_err();
    assert!(matches!(error, RolloutError::Replies { found: 0, n_waiting: 1, .. }), "{error}");
}

#[test]
fn a_failing_commit_stops_the_run() {
    let rollouts = Rollouts::new(&CORRIDOR, &prompt, RolloutConfig::default());
    let control = Control::new(&Silent, Interrupt::default());
    let error = rollouts
        .run("test", &mut walkers(2), &units(2), &control, &mut |_| Err("disk full".into()))
        .unwrap_err();
    assert!(matches!(&error, RolloutError::Commit { unit, .. } if unit == "unit 0"), "{error}");
}
