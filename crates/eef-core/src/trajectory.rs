//! Trajectories: what was said, done and seen in one episode.

use std::fmt;
use std::sync::Arc;

use crate::{Reward, SampledTokens, StateKey, TaskId};

/// What an environment shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Observation(String);

/// An action in the environment's own normal form: what is executed and hashed.
///
/// What the policy said word for word is kept beside it, in [`Step::reply`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action(String);

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// Wraps a text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text!(Observation);
text!(Action);

/// The name of a teacher, such as `scripted-strong` or `gpt-4-0613`.
pub type ExpertName = Arc<str>;

/// Who chose an action.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Author {
    /// A teacher.
    Expert(ExpertName),
    /// The policy that is tuned.
    Policy,
}

/// One action and what the environment answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What was said, word for word (a thought in the same turn included).
    pub reply: String,
    /// The action executed: the reply in the environment's normal form.
    pub action: Action,
    /// What the environment answered.
    pub observation: Observation,
    /// Who said it.
    pub author: Author,
    /// The sampled token ids, where the policy gave them: they are what is trained.
    pub sampled: Option<SampledTokens>,
}

/// How an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EpisodeEnd {
    /// The environment ended it: a purchase, a task completed or failed.
    Terminated,
    /// The turn limit was reached.
    TurnLimit,
    /// The next turn did not fit the model's context.
    ContextFull,
}

/// How an episode ended and what it earned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub end: EpisodeEnd,
    /// The final reward.
    pub reward: Reward,
}

/// The trajectory whose first actions a rollout replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Which one.
    pub trajectory: TrajectoryId,
    /// How many of its actions were taken over (the paper's `m·l`).
    pub n_actions: usize,
}

/// Where a trajectory comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A teacher's own trajectory.
    Expert {
        /// Whose.
        name: ExpertName,
    },
    /// The policy's rollout.
    Rollout {
        /// The round of Algorithm 1 that made it, from 1.
        round: u32,
        /// Which of several rollouts from the same state.
        sample: u32,
        /// The replayed prefix; `None` for a rollout from `s_0`.
        parent: Option<Parent>,
    },
}

impl Origin {
    /// The round: 0 for a teacher's trajectory.
    pub fn round(&self) -> u32 {
        match self {
            Self::Expert { .. } => 0,
            Self::Rollout { round, .. } => *round,
        }
    }
}

/// The identity of a trajectory: 16 bytes derived from what determines it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrajectoryId([u8; 16]);

impl TrajectoryId {
    /// Derives an id from the parts that determine a trajectory; never from a path or a clock.
    pub fn derive(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("eef trajectory id v1");
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(bytes)
    }

    /// An id from its 16 bytes, as a store keeps it.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A text that is no id of a trajectory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no id of a trajectory: expected 32 hexadecimal digits")]
pub struct InvalidTrajectoryId {
    /// The text.
    pub found: String,
}

impl std::str::FromStr for TrajectoryId {
    type Err = InvalidTrajectoryId;

    /// Reads what [`Display`](fmt::Display) writes.
    ///
    /// ```
    /// use eef_core::TrajectoryId;
    ///
    /// let id = TrajectoryId::derive(&[b"a", b"b"]);
    /// assert_eq!(id.to_string().parse(), Ok(id));
    /// for text in ["", "0011", &"z".repeat(32), &"0".repeat(34)] {
    ///     assert!(text.parse::<TrajectoryId>().is_err());
    /// }
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidTrajectoryId { found: text.to_owned() };
        let (digits, []) = text.as_bytes().as_chunks::<2>() else { return Err(invalid()) };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let byte = |[high, low]: &[u8; 2]| Some((16 * digit(*high)? + digit(*low)?) as u8);
        let bytes: Vec<u8> = digits.iter().map(byte).collect::<Option<_>>().ok_or_else(invalid)?;
        bytes.try_into().map(Self).map_err(|_| invalid())
    }
}

impl fmt::Display for TrajectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for TrajectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrajectoryId({self})")
    }
}

pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// One episode: `o_0, a_0, o_1, a_1, …` and its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Its identity.
    pub id: TrajectoryId,
    /// The task.
    pub task: TaskId,
    /// The task's instruction, so that a trajectory can be read and trained on by itself.
    pub instruction: String,
    /// `o_0`: what the environment showed before the first action.
    pub first_observation: Observation,
    /// The actions and their observations.
    pub steps: Vec<Step>,
    /// Where it comes from.
    pub origin: Origin,
    /// How it ended.
    pub outcome: Outcome,
}

impl Trajectory {
    /// The number of actions, `|τ|`.
    pub fn n_actions(&self) -> usize {
        self.steps.len()
    }

    /// How many of its actions a teacher chose: all of a teacher's own, none of a rollout's
    /// from `s_0`.
    pub fn n_expert_actions(&self) -> usize {
        self.steps.iter().filter(|step| step.author != Author::Policy).count()
    }

    /// How many leading actions were replayed from another trajectory.
    pub fn n_replayed(&self) -> usize {
        match &self.origin {
            Origin::Rollout { parent: Some(parent), .. } => parent.n_actions,
            _ => 0,
        }
    }

    /// Whether the task was solved (`R(τ) = 1`).
    pub fn is_positive(&self) -> bool {
        self.outcome.reward.is_positive()
    }

    /// The keys of `s_0, s_1, …, s_|τ|`: one more than there are actions.
    pub fn state_keys(&self) -> Vec<StateKey> {
        let mut key = StateKey::initial(&self.task);
        let mut keys = Vec::with_capacity(self.steps.len() + 1);
        keys.push(key);
        for step in &self.steps {
            key = key.after(&step.action);
            keys.push(key);
        }
        keys
    }

    /// The observation in state `s_index`: what the policy saw before action `index`.
    pub fn observation(&self, index: usize) -> Option<&Observation> {
        match index.checked_sub(1) {
            None => Some(&self.first_observation),
            Some(previous) => self.steps.get(previous).map(|step| &step.observation),
        }
    }
}
