//! ScienceWorld.
mod backend;
mod cassette;
mod environment;
mod episode;
mod error;
mod jar;
mod pool;
mod protocol;
mod tasks;
pub mod verify;
mod worker;

pub use cassette::{Cassette, CassetteMode};
pub use environment::{EnvironmentOptions, ReadAction, ScienceWorld, plain_action};
pub use episode::{Episode, score_in_hundredths};
pub use error::ScienceWorldError;
pub use jar::{JAR_SHA256, Jar};
pub use pool::{Game, PoolOptions, Simulator, Timeline, WorkerCommand, WorkerPool, WorkerStatus};
pub use protocol::State;
pub use tasks::{TASKS, TaskKind, TaskSet};
pub use worker::worker_main_if_requested;

/// Options of the JVM without which episodes do not repeat; part of what a recording was made with.
pub const DETERMINISM_FLAGS: [&str; 2] = ["-XX:+UnlockExperimentalVMOptions", "-XX:hashCode=2"];
