//! What an environment is.

use crate::{Action, Observation, Reward, Split, TaskId};

/// A family of tasks, shared by every episode: a catalogue, a simulator.
///
/// It knows nothing of prompts or tokens.
pub trait Environment: Send + Sync {
    /// The tasks of a split, in their fixed order.
    fn tasks(&self, split: Split) -> Vec<TaskId>;

    /// A fresh instance, to be reset to a task.
    ///
    /// # Errors
    /// [`EnvError`] where the instance cannot be made (a worker that does not start).
    fn instance(&self) -> Result<Box<dyn Env>, EnvError>;

    /// Turns after which an episode is cut off, thoughts included.
    fn max_turns(&self) -> usize;
}

/// One episode at a time of an environment.
pub trait Env: Send {
    /// Starts the task's episode.
    ///
    /// # Errors
    /// [`EnvError::UnknownTask`], or a failure of the environment itself.
    fn reset(&mut self, task: &TaskId) -> Result<Opening, EnvError>;

    /// Executes what a policy said. A reply that does not parse is an action too: the environment
    /// answers it with its own error text, and the episode goes on.
    ///
    /// # Errors
    /// Only a failure of the environment itself; never a poor action.
    fn step(&mut self, reply: &str) -> Result<Transition, EnvError>;
}

/// What an episode starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What is asked.
    pub instruction: String,
    /// `o_0`.
    pub observation: Observation,
}

/// An action's effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The action executed, in normal form.
    pub action: Action,
    /// What the environment shows now.
    pub observation: Observation,
    /// The reward, were the episode to end here.
    pub reward: Reward,
    /// Whether the environment ended the episode.
    pub terminated: bool,
}

/// A failure of an environment, as opposed to a failure in it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// There is no such task.
    #[error("no task {task}: the split has {n_tasks} tasks")]
    UnknownTask {
        /// What was asked for.
        task: TaskId,
        /// How many there are.
        n_tasks: usize,
    },
    /// A step came before a reset, or after the end.
    #[error("the episode is not running: reset it first")]
    NotRunning,
    /// The environment failed (a worker died, a deadline passed).
    #[error("the environment failed: {message}")]
    Failed {
        /// What happened.
        message: String,
    },
}
