//! Workers that die, hang and stand still, under the real simulator. They need Java and the jar that
//! `EEF_SCIENCEWORLD_JAR` names; without these they say so and pass, unless `EEF_REQUIRE` asks for
//! `jar`. A target of its own, because episodes that compete with other tests are late.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a skipped test and the counts are told to people")]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use eef_core::{Rng, Seed};
use eef_scienceworld::{
    Game, Jar, PoolOptions, ScienceWorldError, Simulator, Timeline, WorkerPool,
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use support::{jar, options};

/// Held by each test: they run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

/// Actions that lead through rooms; most do something everywhere.
const ACTIONS: [&str; 10] = [
    "open door to kitchen",
    "go to kitchen",
    "look around",
    "open cupboard",
    "pick up thermometer",
    "open door to outside",
    "go to outside",
    "wait1",
    "inventory",
    "look around",
];

fn games() -> Vec<Game> {
    ["boil", "find-animal", "find-plant", "freeze", "melt", "use-thermometer"]
        .map(|task| Game { task: task.to_owned(), variation: 3, simplification: String::new() })
        .to_vec()
}

fn play(simulator: &mut Simulator, game: &Game) -> Result<Timeline, ScienceWorldError> {
    simulator.load(game.clone())?;
    for action in ACTIONS {
        simulator.step(action)?;
    }
    Ok(simulator.timeline().unwrap().clone())
}

fn pid(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).unwrap()
}

fn is_alive(process: u32) -> bool {
    test_kill_process(pid(process)).is_ok()
}

/// Sends a signal. A SIGSEGV is sent twice: Rust's handler expects that the instruction at fault
/// fails again, gives way to the system's at the first, and with a signal from outside none fails.
fn strike(process: u32, signal: Signal) {
    let n_times = if signal == Signal::SEGV { 2 } else { 1 };
    for _ in 0..n_times {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid(process), signal);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn calm(jar: &Jar) -> Vec<Timeline> {
    let pool = WorkerPool::new(jar.clone(), options()).unwrap();
    games().iter().map(|game| play(&mut pool.simulator(), game).unwrap()).collect()
}

#[test]
fn an_episode_goes_on_where_its_worker_died() {
    let Some(jar) = jar() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let expected = &calm(&jar)[0];
    for signal in [Signal::KILL, Signal::SEGV] {
        let pool = WorkerPool::new(jar.clone(), options()).unwrap();
        let mut simulator = pool.simulator();
        simulator.load(expected.game.clone()).unwrap();
        for action in &ACTIONS[..5] {
            simulator.step(action).unwrap();
        }
        let first = pool.workers()[0].pid.unwrap();
        // On a busy machine two signals may arrive as one, which a worker survives.
        while is_alive(first) {
            strike(first, signal);
        }
        for action in &ACTIONS[5..] {
            simulator.step(action).unwrap();
        }
        assert_eq!(simulator.timeline(), Some(expected));
        assert_eq!(pool.workers()[0].n_restarts, 1);
        assert!(!is_alive(first));
    }
}

#[test]
fn an_episode_that_goes_otherwise_when_played_again_is_an_error() {
    let Some(jar) = jar() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let pool = WorkerPool::new(jar.clone(), options()).unwrap();
    let mut simulator = pool.simulator();
    let mut timeline = play(&mut simulator, &games()[0]).unwrap();
    let changes: [fn(&mut Timeline); 4] = [
        |timeline| timeline.opening.as_mut().unwrap().0.push('!'),
        |timeline| timeline.steps[2].1.observation.push('!'),
        |timeline| timeline.steps[3].1.score += 0.25,
        |timeline| timeline.steps[4].1.moves += 1,
    ];
    for (change, at) in changes.into_iter().zip(["the start", "action 3", "action 4", "action 5"]) {
        let mut changed = timeline.clone();
        change(&mut changed);
        simulator.resume(changed);
        let error = simulator.step("look around").unwrap_err();
        let ScienceWorldError::Diverged { at: found, .. } = &error else { panic!("{error}") };
        assert!(found.starts_with(at), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
    timeline.steps.truncate(5);
    simulator.resume(timeline);
    simulator.step("look around").unwrap();
}

#[test]
fn a_worker_that_hangs_is_killed_and_its_episode_played_elsewhere() {
    let Some(jar) = jar() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let expected = &calm(&jar)[1];
    let call_timeout = Duration::from_secs(8);
    let pool = WorkerPool::new(jar, PoolOptions { call_timeout, ..options() }).unwrap();
    let mut simulator = pool.simulator();
    simulator.load(expected.game.clone()).unwrap();
    let first = pool.workers()[0].pid.unwrap();
    strike(first, Signal::STOP);
    for action in ACTIONS {
        simulator.step(action).unwrap();
    }
    assert_eq!(simulator.timeline(), Some(expected));
    assert!(!is_alive(first));
}

#[test]
fn a_call_that_never_succeeds_ends_by_its_deadline() {
    let Some(jar) = jar() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let deadline = Duration::from_secs(10);
    // No action is executed in so short a time.
    let call_timeout = Duration::from_nanos(1);
    let options = PoolOptions { call_timeout, deadline, n_attempts: 1000, ..options() };
    let pool = WorkerPool::new(jar, options).unwrap();
    let mut simulator = pool.simulator();
    simulator.load(games()[0].clone()).unwrap();
    let begun = Instant::now();
    let error = simulator.step("look around").unwrap_err();
    assert!(matches!(error, ScienceWorldError::Deadline { seconds: 10, .. }), "{error}");
    assert!(begun.elapsed() < deadline * 2, "{:?}", begun.elapsed());
    assert!(pool.workers()[0].n_restarts > 0);
}

/// What is done to a worker.
enum Fault {
    Signal(Signal),
    /// It stands still so long.
    Slow(Duration),
}

fn fault(rng: &mut Rng) -> Fault {
    match rng.below(4) {
        0 => Fault::Signal(Signal::KILL),
        1 => Fault::Signal(Signal::SEGV),
        2 => Fault::Signal(Signal::STOP),
        _ => Fault::Slow(Duration::from_millis(50 + rng.below(500) as u64)),
    }
}

/// Disturbs the pool's workers; the processes that were seen.
fn disturb(pool: &WorkerPool, seed: Seed, n_faults: usize) -> Vec<u32> {
    let mut rng = seed.rng();
    let mut seen = Vec::new();
    for _ in 0..n_faults {
        std::thread::sleep(Duration::from_millis(50 + rng.below(700) as u64));
        let pids: Vec<u32> = pool.workers().iter().filter_map(|worker| worker.pid).collect();
        seen.extend(&pids);
        let fault = fault(&mut rng);
        let Some(process) = rng.choose(&pids) else { continue };
        match fault {
            Fault::Signal(signal) => strike(*process, signal),
            Fault::Slow(time) => {
                strike(*process, Signal::STOP);
                std::thread::sleep(time);
                strike(*process, Signal::CONT);
            }
        }
    }
    seen
}

/// One schedule of faults; how many episodes ended right, and how many with an error.
fn schedule(jar: &Jar, expected: &[Timeline], seed: u64) -> (usize, usize) {
    let temporary = tempfile::tempdir().unwrap();
    let deadline = Duration::from_secs(90);
    let pool = WorkerPool::new(
        jar.clone(),
        PoolOptions {
            n_workers: 2,
            simulators_per_worker: 3,
            start_timeout: Duration::from_secs(25),
            call_timeout: Duration::from_secs(8),
            deadline,
            temporary_directory: Some(temporary.path().to_owned()),
            ..options()
        },
    )
    .unwrap();
    let seed = Seed::new(seed).derive("chaos", 0);
    let (ended, seen) = std::thread::scope(|scope| {
        let episodes: Vec<_> = expected
            .iter()
            .map(|expected| {
                let mut simulator = pool.simulator();
                scope.spawn(move || {
                    let begun = Instant::now();
                    let ended = play(&mut simulator, &expected.game);
                    // Each of its calls has the deadline; all but a few are quick.
                    assert!(begun.elapsed() < deadline * 2, "{:?}", begun.elapsed());
                    ended
                })
            })
            .collect();
        let pool = &pool;
        let disturber = scope.spawn(move || disturb(pool, seed, 5));
        let ended: Vec<_> = episodes.into_iter().map(|e| e.join().unwrap()).collect();
        (ended, disturber.join().unwrap())
    });
    let mut n_errors = 0;
    for (ended, expected) in ended.iter().zip(expected) {
        match ended {
            Ok(timeline) => assert_eq!(timeline, expected),
            Err(
                ScienceWorldError::Worker { .. }
                | ScienceWorldError::Deadline { .. }
                | ScienceWorldError::NoWorker { .. },
            ) => {
                eprintln!("{}", ended.as_ref().unwrap_err());
                n_errors += 1;
            }
            Err(error) => panic!("not a failure of workers: {error}"),
        }
    }
    drop(pool);
    for process in seen {
        assert!(!is_alive(process), "worker {process} lives on");
    }
    assert_eq!(n_entries(temporary.path()), 0, "a directory was left");
    (ended.len() - n_errors, n_errors)
}

fn n_entries(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

/// `EEF_CHAOS_SEEDS` says how many schedules; 200 is the full test.
#[test]
fn whatever_happens_to_workers_episodes_end_right_or_as_errors() {
    let Some(jar) = jar() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let n_seeds = std::env::var("EEF_CHAOS_SEEDS").map_or(2, |text| text.parse().unwrap());
    let expected = calm(&jar);
    let (mut n_right, mut n_errors) = (0, 0);
    for seed in 0..n_seeds {
        let (right, errors) = schedule(&jar, &expected, seed);
        n_right += right;
        n_errors += errors;
    }
    eprintln!("{n_seeds} schedules: {n_right} episodes right, {n_errors} errors");
    // A pool that gives up at every fault would pass what is checked above.
    assert!(n_right > n_errors);
}
