//! What to train on: selection from expert failures (EEF) and from rejection sampling, as pure
//! functions.
//!
//! An exploration leaves many trajectories behind. This crate says which expert states are worth
//! simulating ([`AnchorSchedule`]), which states the policy must learn to recover from
//! ([`first_need_recover`]), which positive trajectory teaches a state ([`Repository::get_traj`]),
//! and which of its actions are trained ([`Solution::train_from`]); and the same for the baselines
//! ([`behaviour_cloning`], [`all_experts`], [`rejection_all`], [`dart_uniform`]).
//!
//! The decision behind it: no IO, no clock, no randomness. The same input gives the same bytes,
//! so that every method can be checked against an oracle, and a likelihood or a look-up in a store
//! is an argument ([`EefSelection::select`] takes `get_traj` as a function).
//!
//! ```
//! use eef_select::{AnchorSchedule, Probe, first_need_recover};
//!
//! // |τ| = 12 and M = 3: the policy starts from s_3, s_6 and s_9.
//! let anchors = AnchorSchedule::Floor.anchors(12, 3);
//! assert_eq!(anchors, [3, 6, 9]);
//!
//! // It fails from s_0, wins from s_3, fails from s_6, wins from s_9: the expert's actions 3 to 5
//! // did harm, and s_6 is the state to recover from.
//! let won = [Some(true), Some(false), Some(true)];
//! let probes: Vec<Probe> =
//!     anchors.into_iter().zip(won).map(|(n_actions, won)| Probe { n_actions, won }).collect();
//! assert_eq!(first_need_recover(Some(false), &probes), Some(6));
//! ```

mod anchors;
mod baselines;
mod bisect;
mod branch;
mod contrast;
mod eef;
mod recovery;
mod repository;
mod solution;

pub use anchors::AnchorSchedule;
pub use baselines::{
    all_experts, behaviour_cloning, dart_prop2diff, dart_uniform, failure_rate, rejection_all,
};
pub use bisect::next_probe;
pub use branch::{Branch, next_branch};
pub use contrast::{Preference, contrast};
pub use eef::{EefSelection, Exploration, ImportantState, Reason, SimulatedState};
pub use recovery::{Probe, first_need_recover};
pub use repository::{Candidate, Repository, TieBreak};
pub use solution::Solution;

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
