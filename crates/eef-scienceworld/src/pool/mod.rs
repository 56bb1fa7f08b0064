//! Worker processes, and simulators spread over them.

mod cpu_time;
mod directory;
mod options;
mod parallel;
mod process;
mod simulator;
mod spawner;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::ScienceWorldError;
use crate::jar::Jar;
use crate::protocol::{Answer, Call, SeatCall, SeatId};
use crate::worker::is_inside_worker;
pub use cpu_time::CpuTime;
use directory::PoolDirectory;
pub use options::{PoolOptions, WorkerCommand};
use process::{NoAnswer, Process, Program};
pub use simulator::{Game, Simulator, Timeline};
use spawner::Spawner;

/// Worker processes that host simulators. Cheap to clone; the processes end with the last clone and
/// the last [`Simulator`].
#[derive(Clone, Debug)]
pub struct WorkerPool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    jar: Jar,
    options: PoolOptions,
    program: Program,
    /// Before the directory, because their own lie in it.
    slots: Vec<Slot>,
    directory: PoolDirectory,
    spawner: Spawner,
    /// Whether the program has ever become a worker.
    has_started: AtomicBool,
}

/// A place for a worker. The worker is started when it is needed, and again when it has died.
#[derive(Debug, Default)]
struct Slot {
    worker: Mutex<Worker>,
    /// Told when a start has come to its end.
    changed: Condvar,
    n_starts: AtomicU32,
    /// Simulators that live here, asked for or in use.
    n_used: Mutex<usize>,
}

#[derive(Debug, Default)]
enum Worker {
    #[default]
    None,
    /// Another thread starts it.
    Starting,
    Running(Arc<Running>),
}

/// A worker with its JVM started.
#[derive(Debug)]
struct Running {
    process: Process,
    seats: Mutex<Seats>,
}

/// Numbers of a worker's simulators.
#[derive(Debug, Default)]
struct Seats {
    n_made: SeatId,
    free: Vec<SeatId>,
}

/// What a worker is doing, for logs and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStatus {
    /// The process; `None` where none runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub n_restarts: u32,
    /// Simulators that it hosts.
    pub n_simulators: usize,
}

/// Why a call must be tried again, or must not.
enum Failure {
    /// In a new worker it may succeed.
    Again(String),
    Final(ScienceWorldError),
}

impl From<ScienceWorldError> for Failure {
    fn from(error: ScienceWorldError) -> Self {
        Self::Final(error)
    }
}

impl WorkerPool {
    /// A pool whose workers start when they are needed.
    ///
    /// # Errors
    /// [`ScienceWorldError::InsideWorker`] in a worker itself, [`ScienceWorldError::Option`] for
    /// options that cannot be, [`ScienceWorldError::Write`] where there is no place for temporary
    /// files.
    pub fn new(jar: Jar, options: PoolOptions) -> Result<Self, ScienceWorldError> {
        if is_inside_worker() {
            return Err(ScienceWorldError::InsideWorker);
        }
        options.check()?;
        let program = program(&options)?;
        let spawn = |source| ScienceWorldError::Spawn { program: program.path.clone(), source };
        let spawner = Spawner::new().map_err(spawn)?;
        let parent = options.temporary_directory.clone().unwrap_or_else(std::env::temp_dir);
        let directory = PoolDirectory::new(&parent)?;
        let slots = (0..options.n_workers).map(|_| Slot::default()).collect();
        let has_started = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner { jar, options, program, slots, directory, spawner, has_started })))
    }

    /// Starts a worker, so that what is wrong with Java or the program shows now.
    ///
    /// # Errors
    /// [`ScienceWorldError::Java`], [`ScienceWorldError::NoWorker`] and others, each with the way
    /// out.
    pub fn check(&self) -> Result<(), ScienceWorldError> {
        match self.0.running(0, self.0.options.start_timeout) {
            Ok(_) => Ok(()),
            Err(Failure::Final(error)) => Err(error),
            Err(Failure::Again(message)) => Err(ScienceWorldError::Java { message }),
        }
    }

    /// A simulator without an episode. It takes one of the pool's places when it is first asked.
    pub fn simulator(&self) -> Simulator {
        Simulator::new(self.clone())
    }

    /// How the pool works.
    pub fn options(&self) -> &PoolOptions {
        &self.0.options
    }

    /// What each worker is doing.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        let status = |slot: &Slot| WorkerStatus {
            pid: match &*lock(&slot.worker) {
                Worker::Running(running) if running.process.is_alive() => {
                    Some(running.process.pid())
                }
                _ => None,
            },
            n_restarts: slot.n_starts.load(Ordering::SeqCst).saturating_sub(1),
            n_simulators: *lock(&slot.n_used),
        };
        self.0.slots.iter().map(status).collect()
    }

    /// What the workers and this process have used of the processors so far; `None` where the
    /// system does not say, as it does on Linux.
    pub fn cpu_time(&self) -> Option<CpuTime> {
        let workers = self.workers().into_iter().filter_map(|worker| worker.pid);
        Some(CpuTime {
            workers: workers.map(cpu_time::of_process).sum::<Option<Duration>>()?,
            this_process: cpu_time::of_process(std::process::id())?,
        })
    }

    /// A place in the worker with the fewest simulators.
    fn place(&self) -> Result<Place, ScienceWorldError> {
        let PoolOptions { n_workers, simulators_per_worker: per_worker, .. } = self.0.options;
        loop {
            let used = self.0.slots.iter().map(|slot| *lock(&slot.n_used)).enumerate();
            let least = used.min_by_key(|(_, n_used)| *n_used);
            let Some((slot, found)) = least.filter(|(_, n_used)| *n_used < per_worker) else {
                let n_simulators = n_workers * per_worker;
                return Err(ScienceWorldError::Full { n_simulators, n_workers, per_worker });
            };
            let mut n_used = lock(&self.0.slots[slot].n_used);
            // Another thread may have been faster.
            if *n_used == found {
                *n_used += 1;
                drop(n_used);
                return Ok(Place { pool: Arc::clone(&self.0), slot });
            }
        }
    }
}

/// The right to one simulator in a worker; given back when it is dropped.
#[derive(Debug)]
struct Place {
    pool: Arc<Inner>,
    slot: usize,
}

impl Place {
    /// A simulator in the worker as it runs now, which is started if need be.
    fn seat(&self, timeout: Duration) -> Result<Seat, Failure> {
        let running = self.pool.running(self.slot, timeout)?;
        let id = {
            let mut seats = lock(&running.seats);
            seats.free.pop().unwrap_or_else(|| {
                seats.n_made += 1;
                seats.n_made
            })
        };
        Ok(Seat { running, id })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&self.pool.slots[self.slot].n_used) -= 1;
    }
}

/// A simulator in a worker.
#[derive(Debug)]
struct Seat {
    running: Arc<Running>,
    id: SeatId,
}

impl Seat {
    fn ask(&self, call: SeatCall, timeout: Duration) -> Result<Answer, Failure> {
        self.running.ask(Call::Seat { seat: self.id, call }, timeout)
    }

    fn is_alive(&self) -> bool {
        self.running.process.is_alive()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.running.seats).free.push(self.id);
    }
}

impl Running {
    fn ask(&self, call: Call, timeout: Duration) -> Result<Answer, Failure> {
        match self.process.ask(call, timeout) {
            Ok(Answer::Broken { message }) => {
                self.process.kill();
                Err(Failure::Again(message))
            }
            Ok(answer) => Ok(answer),
            Err(NoAnswer::Dead(message)) => Err(Failure::Again(message)),
            Err(NoAnswer::Late) => {
                let message = format!("nothing came within {:.1} s", timeout.as_secs_f64());
                Err(Failure::Again(message))
            }
        }
    }
}

impl Inner {
    /// The worker of a slot, started if there is none alive.
    fn running(&self, slot: usize, timeout: Duration) -> Result<Arc<Running>, Failure> {
        let slot = &self.slots[slot];
        let begun = Instant::now();
        let mut worker = lock(&slot.worker);
        loop {
            match &*worker {
                Worker::Running(running) if running.process.is_alive() => {
                    return Ok(Arc::clone(running));
                }
                Worker::Starting => {
                    let left = timeout.saturating_sub(begun.elapsed());
                    if left.is_zero() {
                        let message = "the worker is still being started".to_owned();
                        return Err(Failure::Again(message));
                    }
                    let waited = slot.changed.wait_timeout(worker, left);
                    worker = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Worker::None | Worker::Running(_) => break,
            }
        }
        *worker = Worker::Starting;
        drop(worker);
        let n_restarts = slot.n_starts.fetch_add(1, Ordering::SeqCst);
        let started = self.start(timeout.saturating_sub(begun.elapsed())).map(Arc::new);
        let mut worker = lock(&slot.worker);
        *worker = match &started {
            Ok(running) => Worker::Running(Arc::clone(running)),
            Err(_) => Worker::None,
        };
        slot.changed.notify_all();
        if let (Ok(running), 1..) = (&started, n_restarts) {
            tracing::warn!(pid = running.process.pid(), n_restarts, "worker restarted");
        }
        started
    }

    fn start(&self, timeout: Duration) -> Result<Running, Failure> {
        let begun = Instant::now();
        let directory = self.directory.worker(&self.jar)?;
        let started = Process::start(&self.program, directory, &self.spawner, timeout);
        let process = match started {
            // Any worker may be killed before it speaks; that another has spoken shows that it can.
            Err(error @ ScienceWorldError::NoWorker { .. })
                if self.has_started.load(Ordering::SeqCst) =>
            {
                return Err(Failure::Again(error.to_string()));
            }
            started => started?,
        };
        self.has_started.store(true, Ordering::SeqCst);
        let running = Running { process, seats: Mutex::default() };
        let jar = self.jar.path().to_string_lossy().into_owned();
        let call = Call::Start { jar, max_heap_mib: self.options.max_heap_mib };
        let timeout = timeout.min(self.options.start_timeout).saturating_sub(begun.elapsed());
        match running.ask(call, timeout)? {
            Answer::Started { java } => {
                tracing::debug!(pid = running.process.pid(), java, "worker started");
                Ok(running)
            }
            Answer::Refused { message } => Err(ScienceWorldError::Java { message }.into()),
            other => Err(Failure::Again(format!("its Java's start was answered with {other:?}"))),
        }
    }
}

fn program(options: &PoolOptions) -> Result<Program, ScienceWorldError> {
    let path = match &options.command {
        WorkerCommand::CurrentExe => std::env::current_exe().map_err(|source| {
            ScienceWorldError::Spawn { program: PathBuf::from("(this program)"), source }
        })?,
        // Workers have directories of their own, so the path must not hang on ours.
        WorkerCommand::Path(path) => std::fs::canonicalize(path)
            .map_err(|source| ScienceWorldError::Spawn { program: path.clone(), source })?,
    };
    Ok(Program { path, java_home: options.java_home.clone() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
