//! The programs that play: our workers, and the Python package in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, bail};
use eef_scienceworld::{
    Jar, PoolOptions, ScienceWorldError, Simulator, WorkerPool, score_in_hundredths,
};

use super::episodes::Episode;
use crate::bench::process_tree::ProcessTree;
use crate::prepare_data::tell;

/// How a player is started.
pub enum Program {
    /// Our workers.
    Ours { jar: Jar, n_workers: usize },
    /// The Python package: a script with its arguments, and what Java is told.
    Python { python: PathBuf, arguments: [PathBuf; 3], java_flags: String },
}

/// Plays episodes.
pub trait Player {
    /// Adds an environment for each worker, and loads the first episode there.
    fn open(&mut self, episodes: &[Episode]) -> anyhow::Result<()>;

    /// Loads each episode and executes its first actions, in the environments that were opened
    /// last; the last score of each episode in hundredths.
    fn play(&mut self, episodes: &[Episode], n_actions: usize) -> anyhow::Result<Vec<i32>>;

    /// What is measured.
    fn processes(&self) -> ProcessTree;
}

impl Program {
    pub fn start(&self) -> anyhow::Result<Box<dyn Player>> {
        Ok(match self {
            Self::Ours { jar, n_workers } => {
                let options = PoolOptions { n_workers: *n_workers, ..PoolOptions::default() };
                let pool = WorkerPool::new(jar.clone(), options)?;
                Box::new(Ours { pool, n_workers: *n_workers, simulators: Vec::new() })
            }
            Self::Python { python, arguments, java_flags } => {
                let mut command = Command::new(python);
                command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
                if !java_flags.is_empty() {
                    command.env("JAVA_TOOL_OPTIONS", java_flags);
                }
                Box::new(Python::start(&mut command)?)
            }
        })
    }
}

struct Ours {
    pool: WorkerPool,
    n_workers: usize,
    simulators: Vec<Simulator>,
}

impl Player for Ours {
    fn open(&mut self, episodes: &[Episode]) -> anyhow::Result<()> {
        for _ in 0..self.n_workers {
            let mut simulator = self.pool.simulator();
            simulator.load(episodes[0].game.clone())?;
            self.simulators.push(simulator);
        }
        Ok(())
    }

    fn play(&mut self, episodes: &[Episode], n_actions: usize) -> anyhow::Result<Vec<i32>> {
        let next = AtomicUsize::new(0);
        let scores = Mutex::new(vec![0; episodes.len()]);
        let first = self.simulators.len() - self.n_workers;
        let play_some = |simulator: &mut Simulator| -> Result<(), ScienceWorldError> {
            loop {
                let index = next.fetch_add(1, Ordering::SeqCst);
                let Some(episode) = episodes.get(index) else { return Ok(()) };
                let score = play_one(simulator, episode, n_actions)?;
                scores.lock().unwrap_or_else(PoisonError::into_inner)[index] = score;
            }
        };
        thread::scope(|scope| {
            let simulators = self.simulators[first..].iter_mut();
            let threads: Vec<_> =
                simulators.map(|simulator| scope.spawn(|| play_some(simulator))).collect();
            for thread in threads {
                match thread.join() {
                    Ok(played) => played?,
                    Err(_) => bail!("a thread that plays has panicked"),
                }
            }
            Ok(())
        })?;
        Ok(scores.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn processes(&self) -> ProcessTree {
        ProcessTree { root: std::process::id() }
    }
}

/// Plays an episode's first actions; its last score in hundredths.
fn play_one(
    simulator: &mut Simulator,
    episode: &Episode,
    n_actions: usize,
) -> Result<i32, ScienceWorldError> {
    let mut score = simulator.load(episode.game.clone())?.1.score;
    for action in episode.actions.iter().take(n_actions) {
        score = simulator.step(action)?.score;
    }
    Ok(score_in_hundredths(score))
}

/// `scienceworld_peers.py`, which does what a line tells it.
struct Python {
    child: Child,
    /// Closed when it is to end.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_owned();
        let start = || format!("cannot start {}", program.display());
        let mut child = command.spawn().with_context(start)?;
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().with_context(start)?);
        let mut python = Self { child, commands, answers };
        tell(&python.answer::<String>()?);
        Ok(python)
    }

    fn ask<T: serde::de::DeserializeOwned>(&mut self, command: &str) -> anyhow::Result<T> {
        let commands = self.commands.as_mut().context("the Python has been told to end")?;
        writeln!(commands, "{command}").context("the Python takes no commands")?;
        self.answer()
    }

    fn answer<T: serde::de::DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the Python answered {line:?}"))
    }
}

impl Player for Python {
    fn open(&mut self, _: &[Episode]) -> anyhow::Result<()> {
        self.ask("open")
    }

    fn play(&mut self, episodes: &[Episode], n_actions: usize) -> anyhow::Result<Vec<i32>> {
        self.ask(&format!("play {} {n_actions}", episodes.len()))
    }

    fn processes(&self) -> ProcessTree {
        ProcessTree { root: self.child.id() }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.commands = None;
        // It ends its Java processes first.
        let _ = self.child.wait();
    }
}
