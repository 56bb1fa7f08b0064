//! Joins chat templates, a LLaMA and a trainer into a policy and a learner.
//!
//! [`LlamaPolicy`] is an [`eef_core::Policy`] over a generator; [`LlamaLearner`] is an
//! [`eef_core::Learner`] over a trainer; [`pretrain`] makes small base models;
//! [`verify`](mod@verify) compares with other programs. A model is a
//! Hugging Face directory: `config.json`, `model.safetensors`, `tokenizer.json`, and
//! `eef_chat.json` with the chat template (where it is missing, the tokenizer's control tokens
//! tell the template).
//!
//! The decision behind it: this is the only crate that knows both text and tensors, and it holds
//! no algorithm. Rollouts and training reach tokens through the same [`eef_chat::Encoder`], so that
//! a model is trained on exactly the ids that it had in its context.
//!
//! ```
//! use std::sync::Arc;
//! use eef_agent::{GenerationOptions, LlamaPolicy, create_model};
//! use eef_chat::{BpeTraining, ChatTemplate, Encoder, Tokenizer, train_bpe};
//! use eef_core::{ConversationId, Message, Policy, Sampling, Seed, Turn};
//! use eef_llama::LlamaConfig;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let json = train_bpe(std::iter::empty(), &BpeTraining::default())?;
//! let encoder = Encoder::new(Arc::new(Tokenizer::from_bytes(json)?), ChatTemplate::compact())?;
//! let model = directory.path().join("random");
//! create_model(&model, &LlamaConfig::tiny(1), &encoder, 1)?;
//!
//! let options = GenerationOptions { max_reply_tokens: 4, ..GenerationOptions::default() };
//! let mut policy = LlamaPolicy::open(&model, "cpu", &options)?;
//! let replies = policy.step(vec![Turn {
//!     conversation: ConversationId(0),
//!     messages: vec![Message::user("hello")],
//!     sampling: Sampling::at_temperature(1.0),
//!     seed: Seed::new(1),
//! }])?;
//! assert!(replies[0].sampled.as_ref().is_some_and(|sampled| sampled.ids.len() <= 4));
//! # Ok(())
//! # }
//! ```

mod complete;
mod error;
mod fine_tune;
mod learner;
mod model;
mod options;
mod policy;
mod pretrain;
mod shared;
pub mod verify;
mod watch;

pub use complete::{CompletionRequest, Prompt, TextCompletion, TextGenerator};
pub use error::AgentError;
pub use fine_tune::{FINE_TUNING, FineTuneData, FineTuneRequest, fine_tune};
pub use learner::LlamaLearner;
pub use model::{LoadOptions, TOKENIZER_FILE, create_model, open_encoder};
pub use options::{GenerationOptions, LearnerOptions, PreferenceOptions};
pub use policy::LlamaPolicy;
pub use pretrain::{PretrainRequest, Trained, pretrain, pretrain_examples};
pub use watch::TENSORBOARD_FOLDER;

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
