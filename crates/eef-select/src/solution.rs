//! What is trained on.

use eef_core::{StateKey, TrajectoryId};

/// A positive trajectory chosen to teach a state (a baseline's trajectory teaches `s_0`).
///
/// Invariant: `train_from` is less than the trajectory's number of actions, so at least one action
/// is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Solution {
    /// The state to be solved.
    pub state: StateKey,
    /// The trajectory that contains it.
    pub trajectory: TrajectoryId,
    /// The number of actions before the state: these are context, the later ones are trained.
    pub train_from: usize,
}
