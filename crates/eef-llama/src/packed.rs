use crate::LlamaError;

/// Several sequences in one row of tokens, without padding; none attends to another.
///
/// ```
/// let batch = eef_llama::Packed::new([vec![1, 5, 3], vec![1, 4]])?;
/// assert_eq!(batch.tokens(), [1, 5, 3, 1, 4]);
/// assert_eq!(batch.lengths(), [3, 2]);
/// # Ok::<(), eef_llama::LlamaError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    tokens: Vec<u32>,
    lengths: Vec<usize>,
}

impl Packed {
    /// Packs sequences in the order given.
    ///
    /// # Errors
    ///
    /// Where there is no sequence, or one is empty.
    pub fn new<S: AsRef<[u32]>>(
        sequences: impl IntoIterator<Item = S>,
    ) -> Result<Self, LlamaError> {
        let (mut tokens, mut lengths) = (Vec::new(), Vec::new());
        for sequence in sequences {
            let sequence = sequence.as_ref();
            tokens.extend_from_slice(sequence);
            lengths.push(sequence.len());
        }
        let shortest = lengths.iter().copied().min().unwrap_or(0);
        if shortest == 0 {
            let what = if lengths.is_empty() { "number of sequences" } else { "shortest length" };
            return Err(LlamaError::Batch { what, found: 0, expected: "at least 1".to_owned() });
        }
        Ok(Self { tokens, lengths })
    }

    /// All tokens, sequence after sequence.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The sequences' lengths; their sum is the number of tokens.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Number of tokens.
    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }
}
