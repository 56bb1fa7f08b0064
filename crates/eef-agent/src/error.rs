//! What can go wrong between text and a model.

use std::path::{Path, PathBuf};

use eef_chat::ChatError;
use eef_core::{LearnerError, PolicyError};
use eef_llama::LlamaError;
use eef_train::TrainError;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The control asked to stop.
    #[error("interrupted; the same command continues")]
    Interrupted,

    /// Text could not be turned into tokens, or back.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// A model could not be read, or cannot generate.
    #[error(transparent)]
    Llama(#[from] LlamaError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A file of conversations holds none.
    #[error("{} holds no conversation: expected one JSON object a line", path.display())]
    NoSamples {
        /// The file.
        path: PathBuf,
    },
    /// A file holds conversations to imitate and pairs to prefer one of.
    #[error(
        "{} holds {n_chats} conversations and {n_pairs} pairs of chosen and rejected ones: train on \
         one kind after the other, each from a file of its own",
        path.display()
    )]
    MixedSamples {
        /// The file.
        path: PathBuf,
        /// Conversations to imitate.
        n_chats: usize,
        /// Pairs.
        n_pairs: usize,
    },
    /// A model and a tokenizer that do not belong together.
    #[error(
        "{}: the tokenizer has {tokenizer} ids, the model {model} (vocab_size in config.json): \
         they do not belong together",
        directory.display()
    )]
    Vocabulary {
        /// The model's directory.
        directory: PathBuf,
        /// Ids of the tokenizer.
        tokenizer: usize,
        /// Ids of the model.
        model: usize,
    },
    /// A longer conversation than the model has positions for.
    #[error(
        "a context length of {asked} tokens is more than the model's own of {limit} \
         (max_position_embeddings in its config.json): ask for at most {limit}, or take a model \
         with a longer context"
    )]
    ContextLength {
        /// What was asked for.
        asked: usize,
        /// What the model has.
        limit: usize,
    },
    /// Keys and values of one conversation do not fit into the memory for them.
    #[error(
        "keys and values of a conversation of {context_length} tokens take {:.3} GB, and at most \
         {:.3} GB are allowed: allow more, or ask for a shorter context",
        *needed as f64 / 1e9,
        *found as f64 / 1e9
    )]
    CacheTooSmall {
        /// Most tokens in a conversation.
        context_length: usize,
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that are allowed.
        found: usize,
    },
    /// A document of a pre-training corpus that does not fit the context.
    #[error(
        "document {index} of the corpus is {n_tokens} tokens, the context holds {limit}: make \
         documents shorter or the context longer"
    )]
    DocumentTooLong {
        /// Its number, from 0.
        index: usize,
        /// Its length in tokens.
        n_tokens: usize,
        /// What fits.
        limit: usize,
    },
    /// A recording of another program cannot be compared with.
    #[error("{}: {message}", path.display())]
    Reference {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A model's directory could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl AgentError {
    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    /// As a learner's failure; an interruption stays one.
    pub(crate) fn in_learner(self, doing: String) -> LearnerError {
        match self {
            Self::Interrupted | Self::Train(TrainError::Interrupted { .. }) => {
                LearnerError::Interrupted
            }
            Self::Train(TrainError::NoExamples) => LearnerError::NoItems,
            other => LearnerError::Failed { doing, source: Box::new(other) },
        }
    }

    pub(crate) fn in_policy(self, doing: &str) -> PolicyError {
        PolicyError::Failed { doing: doing.to_owned(), source: Box::new(self) }
    }
}
