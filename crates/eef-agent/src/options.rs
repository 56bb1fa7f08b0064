//! Settings of a learner.

use eef_chat::PromptTemplate;
use eef_train::TrainConfig;

/// How policies generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationOptions {
    /// Conversations held at once; more wait.
    pub max_sequences: usize,
    /// Most tokens in a reply, its end of turn included.
    pub max_reply_tokens: usize,
    /// Most tokens in a conversation; `None`, or more than the model has positions for, means as
    /// many as the model has. The same limit holds for training examples.
    pub context_length: Option<usize>,
}

impl Default for GenerationOptions {
    fn default() -> Self {
        Self { max_sequences: 64, max_reply_tokens: 64, context_length: None }
    }
}

/// What a [`LlamaLearner`](crate::LlamaLearner) is set up with.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnerOptions {
    /// Where models run, such as `cpu`.
    pub device: String,
    /// How an episode's opening becomes the first message; rollouts must use the same.
    pub prompt: PromptTemplate,
    /// How to train. Epochs, learning rate and seed come with each request and replace its own.
    pub train: TrainConfig,
    /// How policies generate.
    pub generation: GenerationOptions,
}

impl Default for LearnerOptions {
    fn default() -> Self {
        Self {
            device: "cpu".to_owned(),
            prompt: PromptTemplate::Short,
            train: TrainConfig::default(),
            generation: GenerationOptions::default(),
        }
    }
}
