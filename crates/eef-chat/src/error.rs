//! What can go wrong between text and tokens.

use std::path::PathBuf;

use eef_core::TrajectoryId;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A `tokenizer.json` does not parse.
    #[error("{from} is no tokenizer.json: {message}")]
    InvalidTokenizer {
        /// Where it came from: a path, or `the given bytes`.
        from: String,
        /// What the parser said.
        message: String,
    },
    /// The tokenizer failed on a text.
    #[error("the tokenizer cannot {doing}: {message}")]
    Tokenizer {
        /// `encode a text` or `decode ids`.
        doing: &'static str,
        /// What it said.
        message: String,
    },
    /// A tokenizer cannot be trained as asked.
    #[error("cannot train a tokenizer: {message}")]
    Training {
        /// What is wrong, and what was expected.
        message: String,
    },
    /// An `eef_chat.json` does not parse, or is of a version that this program does not know.
    #[error("{}: {message}", path.display())]
    InvalidTemplate {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// A template's end-of-turn text is not one token of the tokenizer.
    #[error(
        "template `{template}` does not fit the tokenizer: its end of turn {end:?} is \
         {n_tokens} tokens, expected one; choose another template in eef_chat.json"
    )]
    EndOfTurn {
        /// The template's name.
        template: String,
        /// The text that should be one token.
        end: String,
        /// How many it is.
        n_tokens: usize,
    },
    /// None of the known templates fits the tokenizer.
    #[error(
        "no chat template is known for this tokenizer: put an eef_chat.json beside tokenizer.json \
         (templates known: {known})"
    )]
    UnknownTemplate {
        /// The presets' names.
        known: String,
    },
    /// An unknown name of a template, prompt or action format.
    #[error("unknown {what} `{found}`: expected one of {expected}")]
    UnknownName {
        /// What was named.
        what: &'static str,
        /// What was given.
        found: String,
        /// What there is.
        expected: String,
    },
    /// Nothing of an example would be trained.
    #[error(
        "trajectory {trajectory} has {n_actions} actions, none of them trained (train_from = \
         {train_from}): select a smaller train_from"
    )]
    NothingTrained {
        /// Which trajectory.
        trajectory: TrajectoryId,
        /// How many actions it has.
        n_actions: usize,
        /// The first action to train.
        train_from: usize,
    },
    /// A mask that trains nothing, or trains the first token, which nothing predicts.
    #[error("a loss mask of {n_tokens} tokens must train at least one, and never the first")]
    InvalidMask {
        /// The mask's length.
        n_tokens: usize,
    },
    /// An example does not fit the context.
    #[error(
        "trajectory {trajectory} is {n_tokens} tokens, the context holds {limit}: raise the context \
         length or drop the trajectory (nothing is cut silently)"
    )]
    TooLong {
        /// Which trajectory.
        trajectory: TrajectoryId,
        /// Its length in tokens.
        n_tokens: usize,
        /// What fits.
        limit: usize,
    },
}
