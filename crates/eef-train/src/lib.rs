//! Masked supervised fine-tuning and preference training of LLaMA-family models on Burn, exact and
//! resumable.
//!
//! Token ids and masks go in ([`TrainExample`]), a Hugging Face directory comes out. What a
//! [`Trainer`] promises:
//!
//! - **One mean.** The loss of an optimiser step is one mean over all its trained tokens, however
//!   the step is cut into micro-batches; untrained tokens cost no output layer.
//! - **The same bytes.** Configuration, model and examples decide the final weights; the number of
//!   threads, interruptions and kills do not.
//! - **Nothing half written.** Checkpoints and the output appear by renaming, checkpoints carry a
//!   hash, and a damaged one gives way to the one before it.
//! - **No poisoned weights.** A step whose loss or gradients are not finite changes nothing; after
//!   three in a row training stops.
//!
//! Pre-training is the same with every token trained ([`TrainExample::fully_trained`]); preference
//! training is [`Trainer::run_preferences`].
//!
//! The decision behind it: the loop is our own. burn-train checkpoints per epoch and averages
//! batches instead of tokens, and its file logger panics on a full disk; what it is good at,
//! showing a training, is reached through [`RendererObserver`]. The optimiser is our own too: one
//! pass over all weights, with a state that survives into another process.
//!
//! ```
//! use eef_llama::{Llama, LlamaConfig, device};
//! use eef_train::{TrainConfig, TrainExample, TrainPaths, Trainer};
//!
//! let scratch = tempfile::tempdir()?;
//! let init = scratch.path().join("init");
//! Llama::init(&LlamaConfig::tiny(32), 1, &device("cpu")?)?.save(&init)?;
//!
//! let examples = [TrainExample::new(vec![1, 5, 9, 2], vec![false, false, true, true])?];
//! let config = TrainConfig { n_epochs: 20, learning_rate: 1e-2, ..TrainConfig::default() };
//! let paths = TrainPaths {
//!     init: &init,
//!     output: &scratch.path().join("tuned"),
//!     scratch: &scratch.path().join("training"),
//! };
//! let summary = Trainer::new(config, device("cpu")?)?.run(&paths, &examples, &mut ())?;
//! assert!(summary.epoch_losses[19] < summary.epoch_losses[0] / 2.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adamw;
mod adapter;
mod checkpoint;
mod config;
mod error;
mod estimate;
mod example;
mod fingerprint;
mod forward;
mod gradients;
mod groups;
mod measure;
mod memory;
mod metrics;
mod observer;
mod order;
mod output;
mod preference;
mod reference;
mod renderer;
mod schedule;
mod session;
mod tensorboard;
mod trainer;
mod units;
mod weights;
mod workers;

pub use config::{AdamWConfig, Order, TrainConfig};
pub use eef_core::TrainSummary;
pub use error::TrainError;
pub use estimate::MemoryEstimate;
pub use example::TrainExample;
pub use forward::{log_likelihoods, loss_and_gradients};
pub use groups::{ParameterGroup, ParameterKind};
pub use measure::measure_steps;
pub use observer::{StepReport, TrainObserver, TrainStart};
pub use preference::{PreferenceConfig, PreferencePair, PreferenceReport};
pub use renderer::RendererObserver;
pub use schedule::Schedule;
pub use tensorboard::TensorBoardObserver;
pub use trainer::{TrainPaths, Trainer};

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
