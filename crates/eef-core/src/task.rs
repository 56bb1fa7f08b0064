//! Tasks and the splits that they belong to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Which part of an environment's tasks one belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// Explored and trained on.
    Train,
    /// Chooses rounds and hyper-parameters.
    Validation,
    /// Reported, and used for nothing else.
    Test,
}

impl Split {
    /// All splits, in the order of their use.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A split's name that is none of `train`, `validation` and `test`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown split `{found}`: expected train, validation or test")]
pub struct UnknownSplit {
    /// What was given.
    pub found: String,
}

impl FromStr for Split {
    type Err = UnknownSplit;

    fn from_str(text: &str) -> Result<Self, UnknownSplit> {
        Self::ALL
            .into_iter()
            .find(|split| split.name() == text)
            .ok_or_else(|| UnknownSplit { found: text.to_owned() })
    }
}

/// A task: an environment, a split and an index in it (the paper's `s_0`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    environment: Arc<str>,
    split: Split,
    index: u32,
}

impl TaskId {
    /// Names task number `index` of a split.
    pub fn new(environment: impl Into<Arc<str>>, split: Split, index: u32) -> Self {
        Self { environment: environment.into(), split, index }
    }

    /// The environment's name, with what distinguishes its data (for example `webshop`).
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The split.
    pub fn split(&self) -> Split {
        self.split
    }

    /// The position within the split, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.environment, self.split, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_read_back_from_its_name() {
        for split in Split::ALL {
            assert_eq!(split.name().parse(), Ok(split));
        }
        let error = "dev".parse::<Split>().unwrap_err();
        assert!(error.to_string().contains("expected train, validation or test"));
    }
}
