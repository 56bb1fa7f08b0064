//! ScienceWorld: the simulator itself, unmodified, in worker processes.
//!
//! A [`ScienceWorld`] is an [`Environment`](eef_core::Environment) whose episodes are played by a
//! [`WorkerPool`] or read from a [`Cassette`]. A worker is a process that hosts a JVM with the
//! simulator's own jar (version 1.2.3, see [`Jar`]) and several simulators, each in a class loader
//! of its own because they share global state otherwise.
//!
//! The decision behind it: *an episode is its actions*. With the flags [`DETERMINISM_FLAGS`] the
//! simulator answers the same actions alike in any process, at any time, beside whatever else. So
//! nothing is saved but what was done and shown: an episode whose worker dies is played again in
//! another and compared, observation by observation; a recorded one needs no Java; and questions
//! that would change an episode's course (valid actions draw random numbers) are put to a second
//! simulator that has been brought to the same place.
//!
//! ```
//! use eef_core::Env;
//! use eef_scienceworld::{Cassette, CassetteMode, EnvironmentOptions, ScienceWorld};
//!
//! let path = "../../fixtures/scienceworld/find.jsonl";
//! let cassette = Cassette::open(path.as_ref(), CassetteMode::RefuseOnMiss)?;
//! let world = ScienceWorld::with_cassette(cassette, None, EnvironmentOptions::default());
//! let task = world.task_id("find-living-thing", 0).ok_or("no such task")?;
//! let mut episode = world.episode();
//! let opening = episode.reset(&task)?;
//! assert!(opening.instruction.contains("Your task is to find a(n) living thing"));
//! assert!(!episode.step("look around")?.terminated);
//! // Focusing on what is not asked for loses the task for good.
//! let end = episode.step("focus on air")?;
//! assert!(end.terminated && end.reward.get() == 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod cassette;
mod environment;
mod episode;
mod error;
mod jar;
mod pool;
mod protocol;
pub mod recorded;
mod renaming;
mod tasks;
pub mod teacher;
pub mod verify;
mod worker;

pub use cassette::{Cassette, CassetteMode};
pub use environment::{EnvironmentOptions, ReadAction, ScienceWorld, plain_action};
pub use episode::{Episode, score_in_hundredths};
pub use error::ScienceWorldError;
pub use jar::{JAR_SHA256, Jar};
pub use pool::{
    CpuTime, Game, PoolOptions, Simulator, Timeline, WorkerCommand, WorkerPool, WorkerStatus,
};
pub use protocol::State;
pub use renaming::Renaming;
pub use tasks::{TASKS, TaskKind, TaskSet};
pub use worker::worker_main_if_requested;

/// Options of the JVM without which episodes do not repeat; part of what a recording was made with.
pub const DETERMINISM_FLAGS: [&str; 2] = ["-XX:+UnlockExperimentalVMOptions", "-XX:hashCode=2"];

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
