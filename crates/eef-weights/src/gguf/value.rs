//! What a GGUF file says of itself.

use std::ops::Range;

/// A value of a GGUF file's metadata.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum GgufValue {
    /// A whole number of any of the file's widths.
    Integer(i128),
    /// A number of either width.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Text.
    Text(String),
    /// Values of one kind, read with [`Gguf::texts`](super::Gguf::texts) and
    /// [`Gguf::numbers`](super::Gguf::numbers).
    List(GgufList),
}

impl GgufValue {
    /// A count.
    pub fn as_count(&self) -> Option<usize> {
        match self {
            Self::Integer(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A number, whole or not.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(n) => Some(*n as f64),
            Self::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// Yes or no.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(yes) => Some(*yes),
            _ => None,
        }
    }

    /// Text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A list of a file's metadata. It stays in the file: a vocabulary is read when it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufList {
    pub(super) kind: u32,
    pub(super) n_values: usize,
    /// Where its values lie within the file.
    pub(super) bytes: Range<usize>,
}

impl GgufList {
    /// How many values it has.
    pub fn len(&self) -> usize {
        self.n_values
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.n_values == 0
    }
}
