//! Pre-training a small base model on a corpus.

use std::path::Path;

use eef_chat::{Encoder, Example};
use eef_core::{Control, Event, Message, TrainSummary};
use eef_llama::{LlamaConfig, device};
use eef_train::{TrainConfig, TrainExample, TrainPaths, Trainer};

use crate::watch::{observer, sentence};
use crate::{AgentError, create_model, model};

/// What to pre-train, and where.
pub struct PretrainRequest<'a> {
    /// The model's shape; its vocabulary is the encoder's.
    pub model: &'a LlamaConfig,
    /// Tokenizer and template of the model to be.
    pub encoder: &'a Encoder,
    /// Directory to write the model to; complete as soon as it exists.
    pub output: &'a Path,
    /// Directory for the random initial model and the state that lets an interrupted run continue.
    pub scratch: &'a Path,
    /// How to train; its seed also draws the initial weights.
    pub train: &'a TrainConfig,
    /// Where to train, such as `cpu`.
    pub device: &'a str,
    /// Which tokens carry loss.
    pub trained: Trained,
}

/// Which tokens of a corpus carry loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trained {
    /// All but the first: observations too.
    #[default]
    Everything,
    /// The replies: observations are read only.
    Replies,
}

/// Turns conversations into examples.
///
/// # Errors
/// [`AgentError::DocumentTooLong`] names the first that exceeds `context_length` tokens.
pub fn pretrain_examples(
    corpus: impl IntoIterator<Item = Vec<Message>>,
    encoder: &Encoder,
    context_length: usize,
    trained: Trained,
) -> Result<Vec<TrainExample>, AgentError> {
    let documents = corpus.into_iter().enumerate();
    documents
        .map(|(index, messages)| {
            let example = match trained {
                Trained::Everything => Example::of_everything(encoder, &messages)?,
                Trained::Replies => Example::of_replies(encoder, &messages)?,
            };
            let n_tokens = example.token_ids.len();
            if n_tokens > context_length {
                let limit = context_length;
                return Err(AgentError::DocumentTooLong { index, n_tokens, limit });
            }
            Ok(TrainExample::new(example.token_ids, example.loss_mask.into_vec())?)
        })
        .collect()
}

/// Trains a model from random weights on a corpus of conversations, whose first messages are
/// rendered prompts. Repeating an interrupted call continues it.
///
/// # Errors
/// [`AgentError::Train`] with `Interrupted` where the control asked to stop; otherwise what failed.
pub fn pretrain(
    request: &PretrainRequest<'_>,
    corpus: impl IntoIterator<Item = Vec<Message>>,
    control: &Control<'_>,
) -> Result<TrainSummary, AgentError> {
    let limit = request.model.max_position_embeddings;
    let examples = pretrain_examples(corpus, request.encoder, limit, request.trained)?;
    let init = request.scratch.join("init");
    std::fs::create_dir_all(request.scratch).map_err(AgentError::write(request.scratch))?;
    // Written again every time: the same seed gives the same bytes, and a kill may have left half.
    if init.exists() {
        std::fs::remove_dir_all(&init).map_err(AgentError::write(&init))?;
    }
    create_model(&init, request.model, request.encoder, request.train.seed)?;
    model::check_vocabulary(&init, request.encoder, &model::open_config(&init)?)?;
    let paths = TrainPaths { init: &init, output: request.output, scratch: request.scratch };
    let trainer = Trainer::new(request.train.clone(), device(request.device)?)?;
    let mut observer = observer("pretrain", control, request.scratch);
    let summary = trainer.run(&paths, &examples, &mut observer)?;
    control.report(Event::Finished { summary: sentence(&summary) });
    Ok(summary)
}
