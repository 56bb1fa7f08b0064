//! Model directories: weights, tokenizer and chat template side by side.

use std::path::Path;
use std::sync::Arc;

use eef_chat::{ChatTemplate, Encoder, Tokenizer};
use eef_llama::{Llama, LlamaConfig, Precision, device};

use crate::AgentError;

/// The tokenizer's file in a model's directory.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// The encoder of a model's directory: its `tokenizer.json`, with the template of its
/// `eef_chat.json` or the one that the tokenizer's control tokens tell.
///
/// # Errors
/// [`AgentError::Chat`] where a file is missing or does not fit the other.
pub fn open_encoder(directory: &Path) -> Result<Encoder, AgentError> {
    let tokenizer = Arc::new(Tokenizer::open(&directory.join(TOKENIZER_FILE))?);
    let template = ChatTemplate::of_model(directory, &tokenizer)?;
    Ok(Encoder::new(tokenizer, template)?)
}

/// Writes a model with random weights: a directory to pre-train from. The same seed gives the same
/// bytes. `config.vocab_size` is set to the tokenizer's.
///
/// # Errors
/// [`AgentError::Llama`] for an impossible configuration; otherwise a file cannot be written.
pub fn create_model(
    directory: &Path,
    config: &LlamaConfig,
    encoder: &Encoder,
    seed: u64,
) -> Result<(), AgentError> {
    let vocab_size = encoder.tokenizer().vocabulary_size();
    let config = LlamaConfig { vocab_size, ..config.clone() };
    Llama::init(&config, seed, &device("cpu")?)?.save(directory)?;
    let path = directory.join(TOKENIZER_FILE);
    std::fs::write(&path, encoder.tokenizer().as_bytes()).map_err(AgentError::write(&path))?;
    encoder.template().write(directory)?;
    Ok(())
}

/// How a model's directory is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions<'a> {
    /// A device such as `cpu` or `cuda:0`.
    pub device: &'a str,
    /// What its matrices are kept and multiplied in.
    pub precision: Precision,
    /// Directory of a PEFT adapter to add to its weights.
    pub adapter: Option<&'a Path>,
}

impl Default for LoadOptions<'_> {
    /// On the CPU, in `f32`, without an adapter.
    fn default() -> Self {
        Self { device: "cpu", precision: Precision::F32, adapter: None }
    }
}

/// A model's directory, ready to generate from; clones of both parts share their memory.
pub(crate) fn open(
    directory: &Path,
    options: LoadOptions<'_>,
) -> Result<(Llama, Encoder), AgentError> {
    let encoder = open_encoder(directory)?;
    let device = device(options.device)?;
    let mut llama = Llama::load_as(directory, &device, options.precision)?;
    check_vocabulary(directory, &encoder, llama.config())?;
    if let Some(adapter) = options.adapter {
        llama = llama.load_peft(adapter)?;
    }
    Ok((llama, encoder))
}

/// A tokenizer may have fewer ids than the model (padding to a round number), never more.
pub(crate) fn check_vocabulary(
    directory: &Path,
    encoder: &Encoder,
    config: &LlamaConfig,
) -> Result<(), AgentError> {
    let (tokenizer, model) = (encoder.tokenizer().vocabulary_size(), config.vocab_size);
    if tokenizer > model {
        return Err(AgentError::Vocabulary { directory: directory.to_owned(), tokenizer, model });
    }
    Ok(())
}

/// Reads only a model's `config.json`.
pub(crate) fn open_config(directory: &Path) -> Result<LlamaConfig, AgentError> {
    let path = directory.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|source| eef_chat::ChatError::Io {
        doing: "read",
        path: path.clone(),
        source,
    })?;
    Ok(LlamaConfig::from_json(&path, &text)?)
}
