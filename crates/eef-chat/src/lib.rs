//! Where text becomes tokens: chat templates, loss masks and action formats.
//!
//! A [`Tokenizer`] is a `tokenizer.json`; a [`ChatTemplate`] says what stands around messages; an
//! [`Encoder`] joins them; an [`Example`] is a trajectory's token ids and the [`LossMask`] of
//! those that are trained. No other crate turns text into ids.
//!
//! The decision behind it: **an episode is one growing sequence of tokens.** Each message is
//! encoded with what its template puts around it and appended, and what a policy sampled stays in
//! the sequence verbatim. So a generator's cache goes on from turn to turn, masks are spans and not
//! guesses made by matching text, and training sees exactly the ids that the policy had in its
//! context, because both go through [`Encoder::push`].
//!
//! ```
//! use std::sync::Arc;
//! use eef_chat::{BpeTraining, ChatTemplate, Encoder, Tokenizer, train_bpe};
//! use eef_core::Message;
//!
//! # fn main() -> Result<(), eef_chat::ChatError> {
//! let texts = ["room 0", "room 1", "right", "take"].map(String::from);
//! let json = train_bpe(texts.into_iter(), &BpeTraining::default())?;
//! let tokenizer = Arc::new(Tokenizer::from_bytes(json)?);
//! let encoder = Encoder::new(tokenizer, ChatTemplate::compact())?;
//!
//! let mut conversation = encoder.start();
//! encoder.push(&mut conversation, &Message::user("room 0"))?;
//! encoder.push(&mut conversation, &Message::assistant("right", None))?;
//! let action = conversation.replies()[0].clone();
//! let trained = encoder.tokenizer().decode(&conversation.token_ids()[action])?;
//! assert_eq!(trained, "right<|end|>");
//! # Ok(())
//! # }
//! ```

mod action;
mod bpe;
mod conversation;
mod dataset;
mod derive;
mod error;
mod example;
mod interchange;
mod jinja;
mod leading_space;
mod prompt;
mod template;
#[cfg(test)]
mod testing;
mod tokenizer;

pub use action::{ActionError, ActionFormat};
pub use bpe::{BpeTraining, PRE_TOKENIZER_REGEX, train_bpe};
pub use conversation::{Conversation, Encoder};
pub use dataset::{Chat, Sample};
pub use error::ChatError;
pub use example::{Example, LossMask, messages_of};
pub use interchange::ChatFormat;
pub use jinja::{ChatMessage, JinjaTemplate};
pub use prompt::{LabelStyle, Prompt, PromptTemplate};
pub use template::{ChatTemplate, PRESETS, SystemParts, TEMPLATE_FILE};
pub use tokenizer::Tokenizer;

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
