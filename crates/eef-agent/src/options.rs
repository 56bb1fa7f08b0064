//! Settings of a learner.

use std::path::Path;

use eef_chat::{LabelStyle, PromptTemplate};
use eef_llama::{Generator, GeneratorConfig, LlamaConfig};
use eef_train::{Schedule, TrainConfig};

use crate::{AgentError, model};

/// How policies generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationOptions {
    /// Conversations held at once; more wait.
    pub max_sequences: usize,
    /// Most tokens in a reply, its end of turn included.
    pub max_reply_tokens: usize,
    /// Most tokens in a conversation; `None` means as many as the model has positions for, and
    /// more than those is an error. The same limit holds for training examples.
    pub context_length: Option<usize>,
    /// Most bytes of keys and values that a policy keeps; conversations wait for each other where
    /// they do not fit together.
    pub max_cache_bytes: usize,
}

impl Default for GenerationOptions {
    fn default() -> Self {
        let max_cache_bytes = GeneratorConfig::default().max_cache_bytes;
        Self { max_sequences: 64, max_reply_tokens: 64, context_length: None, max_cache_bytes }
    }
}

impl GenerationOptions {
    /// Whether a model's directory can hold conversations as long as these options ask for, and
    /// one of them fits into the memory for keys and values; reads only its `config.json`.
    ///
    /// # Errors
    /// [`AgentError::ContextLength`], [`AgentError::CacheTooSmall`], or the file cannot be read.
    pub fn check_context_length(&self, directory: &Path) -> Result<(), AgentError> {
        let config = model::open_config(directory)?;
        let context_length = self.limit(&config)?;
        let needed = Generator::cache_bytes_of(&config, context_length);
        if needed > self.max_cache_bytes {
            let found = self.max_cache_bytes;
            return Err(AgentError::CacheTooSmall { context_length, needed, found });
        }
        Ok(())
    }

    /// Most tokens in a conversation with a model.
    pub(crate) fn limit(&self, model: &LlamaConfig) -> Result<usize, AgentError> {
        let limit = model.max_position_embeddings;
        match self.context_length {
            Some(asked) if asked > limit => Err(AgentError::ContextLength { asked, limit }),
            asked => Ok(asked.unwrap_or(limit)),
        }
    }
}

/// What a [`LlamaLearner`](crate::LlamaLearner) is set up with.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnerOptions {
    /// Where models run, such as `cpu`.
    pub device: String,
    /// How an episode's opening becomes the first message; rollouts must use the same.
    pub prompt: PromptTemplate,
    /// How a prompt announces an outcome, where it does; rollouts must use the same.
    pub label_style: LabelStyle,
    /// How to train. Epochs, learning rate and seed come with each request and replace its own.
    pub train: TrainConfig,
    /// What is different where pairs are told apart.
    pub preferences: PreferenceOptions,
    /// How policies generate.
    pub generation: GenerationOptions,
}

/// What is different in training on pairs, with ETO's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PreferenceOptions {
    /// Pairs per optimiser step.
    pub batch_size: usize,
    /// What becomes of the learning rate after the warm-up.
    pub schedule: Schedule,
    /// Share of the steps in which the learning rate rises linearly to its peak.
    pub warmup_fraction: f64,
}

impl Default for PreferenceOptions {
    fn default() -> Self {
        Self { batch_size: 32, schedule: Schedule::Constant, warmup_fraction: 0.1 }
    }
}

impl Default for LearnerOptions {
    fn default() -> Self {
        Self {
            device: "cpu".to_owned(),
            prompt: PromptTemplate::Short,
            label_style: LabelStyle::default(),
            train: TrainConfig::default(),
            preferences: PreferenceOptions::default(),
            generation: GenerationOptions::default(),
        }
    }
}
