//! An interrupted run continues and leaves the same bytes as one that was never interrupted; what
//! delays episodes changes nothing.

#![allow(clippy::unwrap_used, reason = "this file holds tests and their helpers")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Bench, CORRIDOR, remains};
use eef::RunError;
use eef_core::{
    Control, Env, EnvError, Environment, Event, Incident, Interrupt, Learner, LearnerError,
    Opening, Policy, Progress, Seed, Silent, Split, StateKey, TaskId, TrainRequest, TrainSummary,
    TrainingItem, Trajectory, TrajectoryId, Transition,
};
use eef_store::{AppendReport, MemoryStore, SqliteStore, StoreError, TrajectoryStore, Unit};

/// Lets a number of writes through; the next one fails, or asks the run to stop.
struct Failing<'a> {
    store: &'a MemoryStore,
    n_left: AtomicUsize,
    interrupt: Option<Interrupt>,
    /// Counts only what is written once this is above zero.
    counts_from: &'a AtomicUsize,
}

static ALWAYS: AtomicUsize = AtomicUsize::new(1);

impl Failing<'_> {
    fn write<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.counts_from.load(Ordering::SeqCst) == 0 {
            return write();
        }
        let left = self
            .n_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match (&self.interrupt, left) {
            (Some(interrupt), Err(_)) => interrupt.request(),
            (None, Err(_)) => return Err(StoreError::DiskFull { doing: "testing" }),
            _ => {}
        }
        write()
    }
}

impl TrajectoryStore for Failing<'_> {
    fn append(&self, trajectories: &[Trajectory]) -> Result<AppendReport, StoreError> {
        self.write(|| self.store.append(trajectories))
    }
    fn append_unit(
        &self,
        key: &str,
        trajectories: &[Trajectory],
        incidents: &[Incident],
    ) -> Result<AppendReport, StoreError> {
        self.write(|| self.store.append_unit(key, trajectories, incidents))
    }
    fn put_record(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(|| self.store.put_record(key, bytes))
    }
    fn unit(&self, key: &str) -> Result<Option<Unit>, StoreError> {
        self.store.unit(key)
    }
    fn incidents(&self) -> Result<Vec<Incident>, StoreError> {
        self.store.incidents()
    }
    fn get(&self, id: &TrajectoryId) -> Result<Option<Arc<Trajectory>>, StoreError> {
        self.store.get(id)
    }
    fn contains(&self, id: &TrajectoryId) -> Result<bool, StoreError> {
        self.store.contains(id)
    }
    fn n_trajectories(&self) -> Result<u64, StoreError> {
        self.store.n_trajectories()
    }
    fn best_solution(&self, state: &StateKey) -> Result<Option<TrajectoryId>, StoreError> {
        self.store.best_solution(state)
    }
    fn positives_of(&self, task: &TaskId) -> Result<Vec<Arc<Trajectory>>, StoreError> {
        self.store.positives_of(task)
    }
    fn experts(&self) -> Result<Vec<Arc<Trajectory>>, StoreError> {
        self.store.experts()
    }
    fn by_round(&self, round: u32) -> Result<Vec<Arc<Trajectory>>, StoreError> {
        self.store.by_round(round)
    }
    fn ids(&self) -> Result<Vec<TrajectoryId>, StoreError> {
        self.store.ids()
    }
    fn record(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.record(key)
    }
}

#[test]
fn a_run_stopped_at_any_write_continues_to_the_same_bytes() {
    // Those besides EEF whose later decisions hang on earlier results.
    let names = [
        "eef",
        "eef-adaptive",
        "eef-tree",
        "eef-bandit",
        "eef-likelihood",
        "dart-prop2diff",
        "eto",
    ];
    for name in names {
        stopped_at_any_write(name);
    }
}

fn stopped_at_any_write(name: &str) {
    let bench = Bench::new();
    let store = MemoryStore::new();
    let directory = bench.path("whole");
    let silent = Control::silent();
    let expected = bench.iterate(&CORRIDOR, name, &store, &directory, &silent).unwrap();
    let expected_remains = remains(&store, &directory);
    // Again on the complete run: the report is the same, and nothing is done.
    assert_eq!(bench.iterate(&CORRIDOR, name, &store, &directory, &silent).unwrap(), expected);

    let mut n_stopped = 0;
    for is_failure in [true, false] {
        for n_writes in 0.. {
            let store = MemoryStore::new();
            let directory = bench.path(&format!("stopped-{is_failure}-{n_writes}"));
            let interrupt = Interrupt::default();
            let failing = Failing {
                store: &store,
                n_left: n_writes.into(),
                interrupt: (!is_failure).then(|| interrupt.clone()),
                counts_from: &ALWAYS,
            };
            let control = Control::new(&Silent, interrupt);
            match bench.iterate(&CORRIDOR, name, &failing, &directory, &control) {
                Ok(report) => {
                    assert_eq!(report, expected);
                    break;
                }
                Err(RunError::Interrupted) => assert!(!is_failure),
                Err(error) => assert!(is_failure, "{error}"),
            }
            n_stopped += 1;
            let report = bench.iterate(&CORRIDOR, name, &store, &directory, &silent).unwrap();
            assert_eq!(report, expected, "{name}, stopped after {n_writes} writes");
            assert_eq!(remains(&store, &directory), expected_remains);
        }
    }
    assert!(n_stopped > 20, "{name}: {n_stopped}");
}

/// A learner that counts, and finds again what it finished.
struct Counting<'a>(
    &'a eef::testing::TabularLearner,
    AtomicUsize,
    Mutex<BTreeMap<PathBuf, TrainSummary>>,
);

impl Learner for Counting<'_> {
    fn train(
        &self,
        request: &TrainRequest<'_>,
        control: &Control<'_>,
    ) -> Result<TrainSummary, LearnerError> {
        let mut finished = self.2.lock().unwrap();
        if let Some(summary) = finished.get(request.output).filter(|_| request.output.exists()) {
            return Ok(summary.clone());
        }
        self.1.fetch_add(1, Ordering::SeqCst);
        let summary = self.0.train(request, control)?;
        finished.insert(request.output.to_path_buf(), summary.clone());
        Ok(summary)
    }
    fn likelihoods(
        &self,
        model: &Path,
        items: &[TrainingItem],
        control: &Control<'_>,
    ) -> Result<Vec<f64>, LearnerError> {
        self.0.likelihoods(model, items, control)
    }

    fn policy(&self, model: &Path) -> Result<Box<dyn Policy>, LearnerError> {
        self.0.policy(model)
    }
}

#[test]
fn a_training_that_could_not_be_recorded_is_not_repeated() {
    let bench = Bench::new();
    let (store, silent) = (MemoryStore::new(), Control::silent());
    let learner = Counting(&bench.learner, AtomicUsize::new(0), Mutex::default());
    let setup = eef::Setup { learner: &learner, ..bench.setup(&CORRIDOR) };
    let eef = eef::method("eef", &eef::MethodOptions::default()).unwrap();
    let directory = bench.path("run");
    // Fails at the first record after a training: that of its figures.
    let full = Failing {
        store: &store,
        n_left: AtomicUsize::new(0),
        interrupt: None,
        counts_from: &learner.1,
    };
    let run = |store: &dyn TrajectoryStore| {
        eef::iterate(&setup, &common::config(), eef.as_ref(), store, &directory, &silent)
    };
    assert!(matches!(run(&full), Err(RunError::Store(StoreError::DiskFull { .. }))));
    assert_eq!(learner.1.load(Ordering::SeqCst), 1);
    let report = run(&store).unwrap();
    let n_trainings = report.curve.len() + report.rounds.len() - 1;
    assert_eq!(learner.1.load(Ordering::SeqCst), n_trainings);
    assert!(!directory.join("scratch").join("imitation-positives-stage-01").exists());
}

#[test]
fn a_file_that_is_closed_and_opened_again_serves_as_well() {
    let bench = Bench::new();
    let (memory, silent) = (MemoryStore::new(), Control::silent());
    let expected = bench.iterate(&CORRIDOR, "eef", &memory, &bench.path("memory"), &silent);
    let expected = expected.unwrap();
    let (file, directory) = (bench.path("store.sqlite"), bench.path("file"));
    // Stops at the end of its 60th episode, somewhere in the middle.
    let interrupt = Interrupt::default();
    let stop = StopAfter(60.into(), interrupt.clone());
    let control = Control::new(&stop, interrupt);
    let store = SqliteStore::open(&file).unwrap();
    let stopped = bench.iterate(&CORRIDOR, "eef", &store, &directory, &control);
    assert!(matches!(stopped, Err(RunError::Interrupted)), "{stopped:?}");
    drop(store);
    let store = SqliteStore::open(&file).unwrap();
    let report = bench.iterate(&CORRIDOR, "eef", &store, &directory, &silent).unwrap();
    assert_eq!(report, expected);
    assert_eq!(remains(&store, &directory), remains(&memory, &bench.path("memory")));
}

/// Asks to stop once so many advances were reported.
struct StopAfter(AtomicUsize, Interrupt);

impl Progress for StopAfter {
    fn report(&self, event: Event) {
        let left = self.0.load(Ordering::SeqCst);
        match event {
            Event::Advanced { .. } if left == 0 => self.1.request(),
            Event::Advanced { .. } => self.0.store(left - 1, Ordering::SeqCst),
            _ => {}
        }
    }
}

/// A corridor whose every answer takes another while.
struct Slow(AtomicU64);

struct SlowEnv<'a>(Box<dyn Env>, &'a AtomicU64);

impl Environment for &'static Slow {
    fn tasks(&self, split: Split) -> Vec<TaskId> {
        CORRIDOR.tasks(split)
    }
    fn instance(&self) -> Result<Box<dyn Env>, EnvError> {
        Ok(Box::new(SlowEnv(CORRIDOR.instance()?, &self.0)))
    }
    fn max_turns(&self) -> usize {
        CORRIDOR.max_turns
    }
}

impl Env for SlowEnv<'_> {
    fn reset(&mut self, task: &TaskId) -> Result<Opening, EnvError> {
        self.0.reset(task)
    }
    fn step(&mut self, reply: &str) -> Result<Transition, EnvError> {
        let n = self.1.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_micros(Seed::new(n).rng().next_u64() % 200));
        self.0.step(reply)
    }
}

#[test]
fn delays_and_workers_change_nothing() {
    static SLOW: Slow = Slow(AtomicU64::new(0));
    let mut bench = Bench::new();
    let (store, control) = (MemoryStore::new(), Control::silent());
    let directory = bench.path("quick");
    let expected = bench.iterate(&CORRIDOR, "eef", &store, &directory, &control).unwrap();
    for n_workers in [1, 3] {
        bench.n_workers = n_workers;
        let slow_store = MemoryStore::new();
        let slow_directory = bench.path(&format!("slow-{n_workers}"));
        let report = bench.iterate(&&SLOW, "eef", &slow_store, &slow_directory, &control).unwrap();
        assert_eq!(report, expected);
        assert_eq!(remains(&slow_store, &slow_directory), remains(&store, &directory));
    }
}
