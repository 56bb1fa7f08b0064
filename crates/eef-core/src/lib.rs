//! The vocabulary of tuning language-model agents by exploration.
//!
//! An environment gives tasks ([`TaskId`]); a policy answers observations with actions; what comes of it is
//! a [`Trajectory`] with a [`Reward`]. The crates around this one store trajectories, choose what
//! to train on and train; they meet here and nowhere else. There is no IO in this crate, no tensor
//! and no file format: versioned records live with the store.
//!
//! The decision behind it: a state is the exact sequence of actions that led to it
//! ([`StateKey`]), never a text that happens to look alike. Two trajectories that share a prefix
//! share those states, whoever produced them.
//!
//! ```
//! use eef_core::{Action, Split, StateKey, TaskId};
//!
//! let task = TaskId::new("webshop", Split::Train, 17);
//! let start = StateKey::initial(&task);
//! let searched = start.after(&Action::new("search[mug]"));
//! assert_ne!(start, searched);
//! assert_eq!(searched, StateKey::initial(&task).after(&Action::new("search[mug]")));
//! ```

mod control;
mod environment;
mod incident;
mod learner;
mod policy;
mod reward;
mod seed;
mod state;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod trajectory;

pub use control::{Control, Event, Interrupt, Progress, Silent};
pub use environment::{Env, EnvError, Environment, Opening, Transition};
pub use incident::{Incident, IncidentKind};
pub use learner::{
    Learner, LearnerError, OutcomeLabel, PreferenceItem, TrainRequest, TrainSummary, TrainingData,
    TrainingItem,
};
pub use policy::{
    ConversationId, Message, Policy, PolicyError, Reply, ReplyEnd, Role, SampledTokens, Sampling,
    Turn,
};
pub use reward::{InvalidReward, Reward};
pub use seed::{Rng, Seed};
pub use state::StateKey;
pub use task::{Split, TaskId, UnknownSplit};
pub use trajectory::{
    Action, Author, EpisodeEnd, ExpertName, InvalidTrajectoryId, Observation, Origin, Outcome,
    Parent, Step, Trajectory, TrajectoryId,
};

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
