//! The identity of states.

use std::fmt;

use crate::{Action, TaskId};

/// A state's identity: a hash chain over the task and the exact actions taken since its start.
///
/// Invariant: equal keys mean the same task and the same actions in the same order (up to a
/// collision of a 128-bit hash).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey([u8; 16]);

impl StateKey {
    /// The initial state `s_0` of a task.
    pub fn initial(task: &TaskId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("eef state key v1: initial state");
        hasher.update(task.to_string().as_bytes());
        Self::finish(&hasher)
    }

    /// The state reached from this one by an action.
    #[must_use]
    pub fn after(&self, action: &Action) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("eef state key v1: action");
        hasher.update(&self.0);
        hasher.update(action.as_str().as_bytes());
        Self::finish(&hasher)
    }

    /// A key from its 16 bytes, as a store keeps it.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn finish(hasher: &blake3::Hasher) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(bytes)
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::trajectory::write_hex(f, &self.0)
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;

    #[test]
    fn splitting_an_action_differently_gives_another_state() {
        let task = TaskId::new("grid", Split::Train, 0);
        let start = StateKey::initial(&task);
        let one = start.after(&Action::new("ab"));
        let two = start.after(&Action::new("a")).after(&Action::new("b"));
        assert_ne!(one, two);
    }
}
