//! What can go wrong.

use std::path::PathBuf;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScienceWorldError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not the simulator's of version 1.2.3.
    #[error("{} is not the one of ScienceWorld 1.2.3 (SHA-256: expected {expected}, found {found}): `pip download --no-deps scienceworld==1.2.3`, and take scienceworld/{name} out of the wheel, which is a zip file", path.display())]
    WrongFile {
        /// Which file.
        path: PathBuf,
        /// Its name in the wheel.
        name: &'static str,
        /// The hash that it should have.
        expected: &'static str,
        /// The hash that it has.
        found: String,
    },
    /// An option has a value that it cannot have.
    #[error("{option} is {found}: expected {expected}")]
    Option {
        /// Which one.
        option: &'static str,
        /// What was given.
        found: String,
        /// What can be.
        expected: String,
    },
    /// A worker's program could not be started.
    #[error("cannot start the worker {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A child did not say that it is a worker.
    #[error("{} did not become a worker ({message}): the first line of its `main` must be `eef_scienceworld::worker_main_if_requested();`, or name the program eef-scienceworld-worker with WorkerCommand::Path", program.display())]
    NoWorker {
        /// The program.
        program: PathBuf,
        /// What it did instead.
        message: String,
    },
    /// A worker's program is of another version.
    #[error("{} speaks version {found} of the workers' protocol, this program version {expected}: build both from the same eef-scienceworld", program.display())]
    Protocol {
        /// The program.
        program: PathBuf,
        /// Ours.
        expected: u32,
        /// Its.
        found: u32,
    },
    /// A worker's JVM did not start.
    #[error("the worker's Java did not start: {message}")]
    Java {
        /// What happened, and the way out.
        message: String,
    },
    /// A worker may not have workers.
    #[error(
        "a worker process cannot have workers of its own: call eef_scienceworld::worker_main_if_requested() before anything else in `main`"
    )]
    InsideWorker,
    /// Every simulator is in use.
    #[error(
        "all {n_simulators} simulators are in use ({n_workers} workers with {per_worker} each): raise n_workers or simulators_per_worker, or run fewer episodes at once"
    )]
    Full {
        /// How many there are.
        n_simulators: usize,
        /// Processes.
        n_workers: usize,
        /// Simulators in each.
        per_worker: usize,
    },
    /// Workers failed, again and again, at the same call.
    #[error("no answer to {call} after {n_attempts} attempts: {message}")]
    Worker {
        /// What was asked.
        call: String,
        /// How often.
        n_attempts: u32,
        /// How the last attempt failed.
        message: String,
    },
    /// The time for a call, with all its attempts, is over.
    #[error("no answer to {call} within {seconds} s: {message}")]
    Deadline {
        /// What was asked.
        call: String,
        /// How long there was.
        seconds: u64,
        /// How the last attempt failed.
        message: String,
    },
    /// The simulator cannot do what it was asked.
    #[error("{call}: {message}")]
    Refused {
        /// What was asked.
        call: String,
        /// Why not.
        message: String,
    },
    /// An episode that was played again went otherwise.
    #[error(
        "{game}: played again, {at} shows {found:?} where it showed {expected:?} before; the jar, the Java or the recording is another"
    )]
    Diverged {
        /// Task and variation.
        game: String,
        /// `the start`, or the action with its number.
        at: String,
        /// As before.
        expected: String,
        /// As now.
        found: String,
    },
    /// There is no such task or variation.
    #[error("{what}: expected {expected}")]
    UnknownGame {
        /// What was asked for.
        what: String,
        /// What there is.
        expected: String,
    },
    /// Something was asked of an episode that has not begun.
    #[error("no episode is loaded: load one first")]
    NotLoaded,
    /// A cassette cannot be used.
    #[error("{}: line {line}: {message}", path.display())]
    Cassette {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// A cassette is in use.
    #[error("{} is being recorded by another process: wait for it, or record into another file", path.display())]
    CassetteBusy {
        /// The file.
        path: PathBuf,
    },
    /// A cassette lacks what was asked, and there is no simulator.
    #[error("the cassette {} does not hold {what}, and there is no simulator to ask: record it with Java and the jar, or give a pool", path.display())]
    NotRecorded {
        /// The file.
        path: PathBuf,
        /// The episode and the action.
        what: String,
    },
    /// A record of a reference file cannot be used.
    #[error("{}: line {line}: {message}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// There is nothing to compare.
    #[error("{} holds no recorded case: expected {expected}", path.display())]
    NothingToVerify {
        /// The folder, or the file without a case.
        path: PathBuf,
        /// What would be compared.
        expected: String,
    },
}
