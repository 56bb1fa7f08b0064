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
    /// A line of a file of conversations is none.
    #[error("{}, line {line}: {message}", path.display())]
    Sample {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// A `tokenizer.json` does not parse.
    #[error("{from} is no tokenizer.json: {message}")]
    InvalidTokenizer {
        /// Where it came from: a path, or `the given bytes`.
        from: String,
        /// What the parser said.
        message: String,
    },
    /// A `tokenizer.json` that this program would use wrongly.
    #[error("{from} cannot be used to append message after message: {message}; use another one")]
    UnsupportedTokenizer {
        /// Where it came from: a path, or `the given bytes`.
        from: String,
        /// What stands in the way, and what was expected.
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
    /// A Jinja chat template does not parse, fails, or refuses the messages.
    #[error(
        "{from}: the chat template cannot be rendered: {message}; mend it, or put an eef_chat.json \
         beside it, which is used instead"
    )]
    Jinja {
        /// Where it came from: a path, or `the given template`.
        from: String,
        /// What the renderer said, with the line.
        message: String,
    },
    /// A Jinja chat template is no sequence that only grows.
    #[error(
        "{from}: the chat template cannot be written as a conversation that only grows: {message}; \
         put an eef_chat.json beside it, which is used instead"
    )]
    InexpressibleTemplate {
        /// Where it came from: a path, or `the given template`.
        from: String,
        /// What differs.
        message: String,
    },
    /// What stands around a reply's text is more than white space.
    #[error(
        "template `{template}`, {field}: {text:?} is no white space: what the model does not write \
         by itself belongs in reply_prefix or reply_gap"
    )]
    ReplyText {
        /// The template's name.
        template: String,
        /// Which of its fields.
        field: &'static str,
        /// What it holds.
        text: String,
    },
    /// A template's end-of-turn text is not one special token of the tokenizer.
    #[error(
        "template `{template}` does not fit the tokenizer: its end of turn {end:?} ({n_tokens} \
         tokens) is not one special token, which no text can produce; choose another template in \
         eef_chat.json"
    )]
    EndOfTurn {
        /// The template's name.
        template: String,
        /// The text that should be one special token.
        end: String,
        /// How many tokens it is.
        n_tokens: usize,
    },
    /// A template names a control token that the tokenizer does not have.
    #[error(
        "template `{template}`, {field}: {token:?} is no special token of the tokenizer and would \
         be spelt in characters; write in eef_chat.json what tokenizer.json has as `special`"
    )]
    UnknownControlToken {
        /// The template's name.
        template: String,
        /// The template's field.
        field: &'static str,
        /// What looks like a control token.
        token: String,
    },
    /// A text that consists of a control token's name gives the token, so that any page could.
    #[error(
        "template `{template}`, {field}: the tokenizer gives its special token {token:?} for the \
         same characters in a text, so that a page could end or begin a turn; use a tokenizer \
         whose merges do not produce it"
    )]
    SpeltControlToken {
        /// The template's name.
        template: String,
        /// The template's field.
        field: &'static str,
        /// The control token.
        token: String,
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
    /// A system message where a template has no place for one.
    #[error(
        "chat template `{template}` has no place for a system message at the beginning: put its text \
         before the first user message's, or write `system` in eef_chat.json"
    )]
    NoSystemMessage {
        /// The template's name.
        template: String,
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
        "trajectory {trajectory} is {n_tokens} tokens, the context holds {limit}: use a shorter \
         prompt or a model with a longer context, raise the context length where it was set below \
         the model's own, or drop the trajectory (nothing is cut silently)"
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
