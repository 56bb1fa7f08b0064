//! LLaMA-family models on Burn: batched multi-turn generation, and a forward pass for training.
//!
//! Tokens go in and tokens come out; text belongs to other crates. [`Llama`] is a Burn module:
//! grouped-query attention, rotary embeddings that rotate halves, RMS normalisation, SwiGLU, a tied
//! or untied output layer, loaded from and saved to Hugging Face directories.
//! [`Llama::forward_hidden`] runs several sequences [`Packed`] into one row, without padding;
//! [`Llama::logits`] is apart from it, so that the output layer is computed only where it is read.
//! [`Generator`] continues many sequences at once, each where its last turn ended; those that begin
//! alike share keys and values, within a budget of memory.
//!
//! The decision behind it: on a CPU, small models spend more time between matrix products than in
//! them. Attention, normalisation, SwiGLU and the cross-entropy are therefore single operations
//! with their own backward passes on Burn's `flex` backend, and compositions of Burn's operations
//! on every other device; tests hold the two against each other.
//!
//! ```
//! use eef_llama::{Finish, Generator, GeneratorConfig, Llama, LlamaConfig, Request, device};
//!
//! let model = Llama::init(&LlamaConfig::tiny(50), 7, &device("cpu")?)?;
//! let mut generator = Generator::new(model, GeneratorConfig::default())?;
//! for sequence in 0..6 {
//!     let request = Request::greedy(sequence, vec![1, 2, 3], 5);
//!     generator.submit(Request { temperature: 1.0, seed: sequence, ..request })?;
//! }
//! let completions = generator.advance()?;
//! assert_eq!(completions.len(), 6);
//! assert_eq!(completions[0].tokens.len(), 5);
//! assert_eq!(completions[0].finish, Finish::Length);
//! # Ok::<(), eef_llama::LlamaError>(())
//! ```

mod config;
mod device;
mod error;
mod generate;
mod model;
mod ops;
mod packed;
mod random;
mod workload;

pub use config::{LlamaConfig, PRESETS, RopeScaling};
pub use device::{cpu_features, device};
pub use error::LlamaError;
pub use generate::{Completion, Finish, Generator, GeneratorConfig, InferenceModel, Request};
pub use model::{Llama, LoraConfig, LoraTarget, Precision};
pub use ops::cross_entropy;
pub use packed::Packed;
pub use workload::Workload;

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
