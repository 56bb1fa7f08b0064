//! Fine-tuning on a file of conversations.

use std::path::Path;

use eef_chat::{Chat, ChatError, Encoder, Sample};
use eef_core::{Control, Event, TrainSummary};
use eef_llama::device;
use eef_train::{
    MemoryEstimate, PreferenceConfig, PreferencePair, TrainConfig, TrainExample, TrainObserver,
    TrainPaths, Trainer,
};

use crate::watch::{self, sentence};
use crate::{AgentError, model};

/// The phase in which [`fine_tune`] takes its steps, as a control is told.
pub const FINE_TUNING: &str = "train";

/// What to fine-tune on, in tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum FineTuneData {
    /// Conversations to imitate.
    Examples(Vec<TrainExample>),
    /// Pairs of which one is to be preferred.
    Pairs(Vec<PreferencePair>),
}

/// How to fine-tune, and where.
#[derive(Clone, Copy, Debug)]
pub struct FineTuneRequest<'a> {
    /// The model to start from: a Hugging Face directory.
    pub init: &'a Path,
    /// Directory to write the tuned model to; complete as soon as it exists.
    pub output: &'a Path,
    /// Directory for `metrics.jsonl` and for the state that lets an interrupted run continue.
    pub scratch: &'a Path,
    /// How to train.
    pub train: &'a TrainConfig,
    /// Where pairs are given.
    pub preference: PreferenceConfig,
    /// Where to train, such as `cpu`, or several devices with commas between them.
    pub devices: &'a str,
}

impl FineTuneData {
    /// Reads a file of [`Sample`]s with the tokenizer and template of a model.
    ///
    /// # Errors
    /// [`AgentError::Chat`] naming the line that is wrong, [`AgentError::MixedSamples`] where lines
    /// are of both kinds, and [`AgentError::NoSamples`].
    pub fn read(path: &Path, directory: &Path) -> Result<Self, AgentError> {
        let encoder = model::open_encoder(directory)?;
        let config = model::open_config(directory)?;
        model::check_vocabulary(directory, &encoder, &config)?;
        let limit = config.max_position_embeddings;
        let (mut examples, mut pairs) = (Vec::new(), Vec::new());
        for (line, sample) in &Sample::read_all(path)? {
            let wrong = |message: String| {
                AgentError::Chat(ChatError::Sample { path: path.to_owned(), line: *line, message })
            };
            let example = |chat| example(chat, &encoder, limit).map_err(wrong);
            match sample {
                Sample::Chat(chat) => examples.push(example(chat)?),
                Sample::Preference { chosen, rejected } => {
                    let (chosen, rejected) = (example(chosen)?, example(rejected)?);
                    pairs.push(PreferencePair { chosen, rejected });
                }
            }
        }
        match (examples.is_empty(), pairs.is_empty()) {
            (true, true) => Err(AgentError::NoSamples { path: path.to_owned() }),
            (false, false) => Err(AgentError::MixedSamples {
                path: path.to_owned(),
                n_chats: examples.len(),
                n_pairs: pairs.len(),
            }),
            (false, true) => Ok(Self::Examples(examples)),
            (true, false) => Ok(Self::Pairs(pairs)),
        }
    }

    /// Examples, or pairs.
    pub fn len(&self) -> usize {
        match self {
            Self::Examples(examples) => examples.len(),
            Self::Pairs(pairs) => pairs.len(),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every sequence; chosen and rejected in turn.
    pub fn sequences(&self) -> Vec<&TrainExample> {
        match self {
            Self::Examples(examples) => examples.iter().collect(),
            Self::Pairs(pairs) => {
                pairs.iter().flat_map(|pair| [&pair.chosen, &pair.rejected]).collect()
            }
        }
    }

    /// What training on it would need in memory; reads of the model only its `config.json`.
    ///
    /// # Errors
    /// [`AgentError::Llama`] where that cannot be read.
    pub fn memory(
        &self,
        directory: &Path,
        train: &TrainConfig,
    ) -> Result<MemoryEstimate, AgentError> {
        let config = model::open_config(directory)?;
        Ok(match self {
            Self::Examples(examples) => MemoryEstimate::of_examples(&config, train, examples),
            Self::Pairs(pairs) => MemoryEstimate::of_pairs(&config, train, pairs),
        })
    }
}

fn example(chat: &Chat, encoder: &Encoder, limit: usize) -> Result<TrainExample, String> {
    let example = chat.example(encoder).map_err(|error| error.to_string())?;
    let n_tokens = example.token_ids.len();
    if n_tokens > limit {
        return Err(format!("{n_tokens} tokens; the context holds {limit}"));
    }
    TrainExample::new(example.token_ids, example.loss_mask.into_vec())
        .map_err(|error| error.to_string())
}

/// Fine-tunes. Repeating an interrupted call continues it. Besides the control, `observer` watches:
/// `&mut ()` where nobody is to.
///
/// # Errors
/// [`AgentError::Train`] with `Interrupted` where the control asked to stop; otherwise what failed.
pub fn fine_tune(
    request: &FineTuneRequest<'_>,
    data: &FineTuneData,
    control: &Control<'_>,
    observer: &mut dyn TrainObserver,
) -> Result<TrainSummary, AgentError> {
    let FineTuneRequest { init, output, scratch, train, preference, devices } = *request;
    let paths = TrainPaths { init, output, scratch };
    let devices = devices.split(',').map(device).collect::<Result<Vec<_>, _>>()?;
    let trainer = Trainer::on_devices(train.clone(), devices)?;
    let mut watch = (watch::observer(FINE_TUNING, control, scratch), observer);
    let summary = match data {
        FineTuneData::Examples(examples) => trainer.run(&paths, examples, &mut watch)?,
        FineTuneData::Pairs(pairs) => {
            trainer.run_preferences(&paths, pairs, preference, &mut watch)?
        }
    };
    control.report(Event::Finished { summary: sentence(&summary) });
    Ok(summary)
}
