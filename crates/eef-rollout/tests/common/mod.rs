//! Environments and policies that misbehave in known ways, shared by the tests.
#![allow(missing_docs, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use eef_core::testing::{Corridor, FunctionPolicy};
use eef_core::{
    ConversationId, Env, EnvError, Environment, Opening, Policy, PolicyError, Reply, Rng, Sampling,
    Seed, Split, TaskId, TrajectoryId, Transition, Turn,
};
use eef_rollout::{Job, Start, Unit};

pub const CORRIDOR: Corridor = Corridor { length: 4, n_tasks: 12, max_turns: 6 };

pub fn prompt(opening: &Opening) -> String {
    format!("{}. {}", opening.instruction, opening.observation)
}

pub fn job(task: TaskId, sample: u32, start: Start) -> Job {
    let name = format!("{task} {sample} {start:?}");
    Job {
        id: TrajectoryId::derive(&[name.as_bytes()]),
        seed: Seed::new(5).derive("task", u64::from(task.index())).derive("sample", sample.into()),
        task,
        start,
        sampling: Sampling::at_temperature(1.0),
        round: 2,
        sample,
    }
}

/// Every task of the corridor once, in units of `size`.
pub fn units(size: usize) -> Vec<Unit> {
    let tasks = CORRIDOR.tasks(Split::Train);
    let cut = tasks.chunks(size).enumerate();
    cut.map(|(number, tasks)| Unit {
        key: format!("unit {number}"),
        jobs: tasks.iter().map(|task| job(task.clone(), 0, Start::Initial)).collect(),
    })
    .collect()
}

/// Walks at random by the turn's seed.
pub fn random_walk(_: &[String], seed: u64) -> String {
    ["right", "right", "left", "take"][Seed::new(seed).rng().below(4)].to_owned()
}

pub fn walkers(n: usize) -> Vec<Box<dyn Policy>> {
    (0..n).map(|_| Box::new(FunctionPolicy::new(random_walk)) as Box<dyn Policy>).collect()
}

/// Answers only some of the waiting conversations in a step, as continuous batching does.
pub struct Dripping {
    inner: FunctionPolicy<fn(&[String], u64) -> String>,
    waiting: Vec<Turn>,
}

impl Dripping {
    pub fn new() -> Self {
        Self { inner: FunctionPolicy::new(random_walk), waiting: Vec::new() }
    }
}

impl Policy for Dripping {
    fn step(&mut self, turns: Vec<Turn>) -> Result<Vec<Reply>, PolicyError> {
        self.waiting.extend(turns);
        self.waiting.sort_by_key(|turn| turn.seed.get());
        let answered = self.waiting.len().min(2);
        let now = self.waiting.drain(..answered).collect();
        self.inner.step(now)
    }

    fn close(&mut self, conversation: ConversationId) {
        self.inner.close(conversation);
    }

    fn reset(&mut self) {
        self.waiting.clear();
        self.inner.reset();
    }
}

/// A corridor whose answers take a random time.
pub struct Slow(pub u64);

impl Environment for Slow {
    fn tasks(&self, split: Split) -> Vec<TaskId> {
        CORRIDOR.tasks(split)
    }

    fn instance(&self) -> Result<Box<dyn Env>, EnvError> {
        Ok(Box::new(SlowEnv { inner: CORRIDOR.instance()?, rng: Seed::new(self.0).rng() }))
    }

    fn max_turns(&self) -> usize {
        CORRIDOR.max_turns
    }
}

struct SlowEnv {
    inner: Box<dyn Env>,
    rng: Rng,
}

impl Env for SlowEnv {
    fn reset(&mut self, task: &TaskId) -> Result<Opening, EnvError> {
        std::thread::sleep(Duration::from_micros(self.rng.below(300) as u64));
        self.inner.reset(task)
    }

    fn step(&mut self, reply: &str) -> Result<Transition, EnvError> {
        std::thread::sleep(Duration::from_micros(self.rng.below(300) as u64));
        self.inner.step(reply)
    }
}

/// A corridor whose `fail_at`-th step, counted over all its instances, fails; and every
/// step of task `broken`.
pub struct Failing {
    pub fail_at: u64,
    pub broken: Option<u32>,
    pub steps: Arc<AtomicU64>,
}

impl Environment for Failing {
    fn tasks(&self, split: Split) -> Vec<TaskId> {
        CORRIDOR.tasks(split)
    }

    fn instance(&self) -> Result<Box<dyn Env>, EnvError> {
        Ok(Box::new(FailingEnv {
            inner: CORRIDOR.instance()?,
            fail_at: self.fail_at,
            broken: self.broken,
            steps: Arc::clone(&self.steps),
            task: None,
        }))
    }

    fn max_turns(&self) -> usize {
        CORRIDOR.max_turns
    }
}

struct FailingEnv {
    inner: Box<dyn Env>,
    fail_at: u64,
    broken: Option<u32>,
    steps: Arc<AtomicU64>,
    task: Option<u32>,
}

impl Env for FailingEnv {
    fn reset(&mut self, task: &TaskId) -> Result<Opening, EnvError> {
        self.task = Some(task.index());
        self.inner.reset(task)
    }

    fn step(&mut self, reply: &str) -> Result<Transition, EnvError> {
        let step = self.steps.fetch_add(1, Ordering::SeqCst) + 1;
        if step == self.fail_at || (self.broken.is_some() && self.task == self.broken) {
            return Err(EnvError::Failed { message: "the worker died".to_owned() });
        }
        self.inner.step(reply)
    }
}
