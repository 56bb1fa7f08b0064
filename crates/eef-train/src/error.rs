//! What can go wrong.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A field of the configuration cannot be.
    #[error("training config: `{field}` must be {expected}")]
    Config {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A parameter group names what the model does not have, or what is not trained.
    #[error("training config: no trained parameter is of the group `{kind}`; there are {trained}")]
    EmptyGroup {
        /// The kind of the group's parameters.
        kind: &'static str,
        /// Those that are trained.
        trained: String,
    },
    /// The LoRA configuration cannot be, or not for this model.
    #[error("training config: {source}")]
    Lora {
        /// What is wrong.
        source: Box<eef_llama::LlamaError>,
    },
    /// Token ids and mask differ in length.
    #[error("an example has {n_tokens} tokens but a mask of {n_mask}: give one flag per token")]
    MaskLength {
        /// Tokens given.
        n_tokens: usize,
        /// Flags given.
        n_mask: usize,
    },
    /// No token of an example carries loss.
    #[error(
        "an example of {n_tokens} tokens trains none of them: \
         mark at least one token after the first, or leave the example out"
    )]
    NothingTrained {
        /// Tokens of the example.
        n_tokens: usize,
    },
    /// There are no examples.
    #[error("there is nothing to train on: the list of examples is empty")]
    NoExamples,
    /// A token that the model does not know.
    #[error(
        "example {example}, token {position}: id {token} is outside the model's vocabulary of \
         {vocabulary}; was it encoded with another tokenizer?"
    )]
    UnknownToken {
        /// The example, counted from 0.
        example: usize,
        /// The token's place in it, counted from 0.
        position: usize,
        /// The id.
        token: u32,
        /// Ids that the model knows.
        vocabulary: usize,
    },
    /// An example that is longer than the model's context.
    #[error("example {example} has {n_tokens} tokens, the model's context holds {limit}")]
    TooLong {
        /// The example, counted from 0.
        example: usize,
        /// Its tokens.
        n_tokens: usize,
        /// The model's limit.
        limit: usize,
    },
    /// The model could not be read, or could not be written.
    #[error("cannot {doing} the model in {}", path.display())]
    Model {
        /// `read` or `write`.
        doing: &'static str,
        /// Its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file or directory could not be read or written; a full disk is one of the reasons.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A checkpoint or an output that belongs to another training.
    #[error(
        "{} belongs to another training (other examples, model or configuration): \
         delete it to start anew, or give another directory",
        path.display()
    )]
    Foreign {
        /// The checkpoint or output.
        path: PathBuf,
    },
    /// Loss or gradients were not finite in several steps in a row.
    #[error(
        "loss or gradients were not finite in {n_steps} steps in a row, the last being step \
         {step} (loss {loss}): lower the learning rate, or look at the model trained from. No \
         weight was changed by these steps"
    )]
    NotFinite {
        /// The last such step, counted from 1.
        step: u64,
        /// How many in a row.
        n_steps: u32,
        /// Its loss.
        loss: f64,
    },
    /// The observer asked to stop; a checkpoint was written.
    #[error("training was interrupted after step {step} of {n_steps}: the same call continues it")]
    Interrupted {
        /// Steps done.
        step: u64,
        /// Steps of the whole training.
        n_steps: u64,
    },
    /// The worker threads could not be started, or one of them died.
    #[error("the training threads failed: {reason}")]
    Workers {
        /// Why.
        reason: String,
    },
    /// A tensor that could not be read back, or did not have the expected size.
    #[error("cannot read the tensor `{name}`: {reason}")]
    Tensor {
        /// Which.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

impl TrainError {
    /// For `map_err`: joins an IO error with what was done to which file.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }
}
