//! Checksums of contents and of rows.

use std::fmt;

use eef_core::{Author, EpisodeEnd, Origin, Split, Trajectory};

/// 16 bytes of BLAKE3. They find damage and differences; they are no defence against forgery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Checksum([u8; 16]);

impl Checksum {
    /// The checksum of a trajectory's whole content, whatever form it is stored in.
    pub fn of(trajectory: &Trajectory) -> Self {
        let mut hasher = Hasher::new("trajectory content");
        hasher.bytes(trajectory.id.as_bytes());
        hasher.text(trajectory.task.environment());
        hasher.integer(split_code(trajectory.task.split()));
        hasher.integer(i64::from(trajectory.task.index()));
        hasher.text(&trajectory.instruction);
        hasher.text(trajectory.first_observation.as_str());
        match &trajectory.origin {
            Origin::Expert { name } => hasher.text(name),
            Origin::Rollout { round, sample, parent } => {
                hasher.integer(i64::from(*round));
                hasher.integer(i64::from(*sample));
                match parent {
                    None => hasher.none(),
                    Some(parent) => {
                        hasher.bytes(parent.trajectory.as_bytes());
                        hasher.integer(parent.n_actions as i64);
                    }
                }
            }
        }
        hasher.integer(end_code(trajectory.outcome.end));
        hasher.real(trajectory.outcome.reward.get());
        hasher.integer(trajectory.steps.len() as i64);
        for step in &trajectory.steps {
            hasher.text(&step.reply);
            hasher.text(step.action.as_str());
            hasher.text(step.observation.as_str());
            match &step.author {
                Author::Policy => hasher.none(),
                Author::Expert(name) => hasher.text(name),
            }
            match &step.sampled {
                None => hasher.none(),
                Some(sampled) => {
                    hasher.integer(sampled.tokenizer.cast_signed());
                    let ids = sampled.ids.iter().flat_map(|id| id.to_le_bytes());
                    hasher.bytes(&ids.collect::<Vec<u8>>());
                    let values = sampled.log_probabilities.iter();
                    let bits = values.flat_map(|value| value.to_bits().to_le_bytes());
                    hasher.bytes(&bits.collect::<Vec<u8>>());
                }
            }
        }
        hasher.finish()
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes values with their kinds and lengths, so that no two sequences of values run together.
pub(crate) struct Hasher(blake3::Hasher);

impl Hasher {
    pub(crate) fn new(what: &str) -> Self {
        let mut hasher = Self(blake3::Hasher::new_derive_key("eef store checksum v1"));
        hasher.text(what);
        hasher
    }

    pub(crate) fn none(&mut self) {
        self.0.update(b"n");
    }

    pub(crate) fn integer(&mut self, value: i64) {
        self.0.update(b"i").update(&value.to_le_bytes());
    }

    pub(crate) fn real(&mut self, value: f64) {
        // Adding zero turns −0 into 0, as SQLite does.
        self.0.update(b"r").update(&(value + 0.0).to_bits().to_le_bytes());
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.0.update(b"t").update(&(value.len() as u64).to_le_bytes()).update(value.as_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.0.update(b"b").update(&(value.len() as u64).to_le_bytes()).update(value);
    }

    pub(crate) fn finish(&self) -> Checksum {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        Checksum(bytes)
    }
}

pub(crate) fn split_code(split: Split) -> i64 {
    match split {
        Split::Train => 0,
        Split::Validation => 1,
        Split::Test => 2,
    }
}

pub(crate) fn split_of_code(code: i64) -> Option<Split> {
    Split::ALL.into_iter().find(|split| split_code(*split) == code)
}

pub(crate) fn end_code(end: EpisodeEnd) -> i64 {
    match end {
        EpisodeEnd::Terminated => 0,
        EpisodeEnd::TurnLimit => 1,
        EpisodeEnd::ContextFull => 2,
    }
}

pub(crate) fn end_of_code(code: i64) -> Option<EpisodeEnd> {
    let all = [EpisodeEnd::Terminated, EpisodeEnd::TurnLimit, EpisodeEnd::ContextFull];
    all.into_iter().find(|end| end_code(*end) == code)
}
