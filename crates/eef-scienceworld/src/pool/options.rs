//! How many workers, which program, how long to wait.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::ScienceWorldError;

/// Which program is started as a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WorkerCommand {
    /// The program that runs, which calls
    /// [`worker_main_if_requested`](crate::worker_main_if_requested) first in its `main`.
    #[default]
    CurrentExe,
    /// Another one, such as this crate's `eef-scienceworld-worker`.
    Path(PathBuf),
}

/// How a pool works. [`Default`] suits one machine: a worker for each core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Which program is a worker.
    pub command: WorkerCommand,
    /// Processes. Each takes about 200 MB, and 30 MB more for each simulator after the first.
    pub n_workers: usize,
    /// Simulators in each process at most.
    pub simulators_per_worker: usize,
    /// The JVM's heap in MiB (`-Xmx`); 128 is enough for one simulator.
    pub max_heap_mib: u32,
    /// Where Java lies; `None` looks at `JAVA_HOME`, then at the path.
    pub java_home: Option<PathBuf>,
    /// How long a worker's JVM may take to start, and a simulator to load an episode. Shorter than
    /// a busy machine needs, it kills workers that would have answered, and their successors.
    pub start_timeout: Duration,
    /// How long one answer may take; then the worker is killed.
    pub call_timeout: Duration,
    /// How long a call may take with all that it needs: restarts, replays, attempts.
    pub deadline: Duration,
    /// How often a call is tried, in a new worker each time.
    pub n_attempts: u32,
    /// Where workers' directories are made; `None` is the system's place for temporary files.
    pub temporary_directory: Option<PathBuf>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            command: WorkerCommand::default(),
            n_workers: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            simulators_per_worker: 8,
            max_heap_mib: 512,
            java_home: None,
            start_timeout: Duration::from_mins(1),
            call_timeout: Duration::from_mins(1),
            deadline: Duration::from_mins(5),
            n_attempts: 4,
            temporary_directory: None,
        }
    }
}

impl PoolOptions {
    pub(super) fn check(&self) -> Result<(), ScienceWorldError> {
        let bad = |option, found: String, expected: &str| {
            Err(ScienceWorldError::Option { option, found, expected: expected.to_owned() })
        };
        if self.n_workers == 0 {
            return bad("n_workers", "0".to_owned(), "at least 1");
        }
        if self.simulators_per_worker == 0 {
            return bad("simulators_per_worker", "0".to_owned(), "at least 1");
        }
        if self.n_attempts == 0 {
            return bad("n_attempts", "0".to_owned(), "at least 1");
        }
        // With 24 MiB the simulator's first load fails.
        if self.max_heap_mib < 64 {
            return bad("max_heap_mib", self.max_heap_mib.to_string(), "at least 64");
        }
        let timeouts = [
            ("start_timeout", self.start_timeout),
            ("call_timeout", self.call_timeout),
            ("deadline", self.deadline),
        ];
        for (option, timeout) in timeouts {
            if timeout.is_zero() {
                return bad(option, format!("{timeout:?}"), "more than 0");
            }
        }
        Ok(())
    }
}
