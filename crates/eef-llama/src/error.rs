use std::path::{Path, PathBuf};

use eef_weights::WeightsError;

/// What can go wrong with a model or its generation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlamaError {
    /// A model's files are missing, cut short, or do not fit its configuration.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// `config.json` does not parse or lacks a field.
    #[error("{}: {message}", path.display())]
    ConfigSyntax {
        /// The file, or a name for the text that was read.
        path: PathBuf,
        /// The parser's message.
        message: String,
    },
    /// A field of the configuration has a value that no model can have, or that is not supported.
    #[error("{}: {field} is {found}, expected {expected}", path.display())]
    ConfigValue {
        /// The file; `config.json` for a configuration that is of no file.
        path: PathBuf,
        /// The field, as `config.json` spells it.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is possible.
        expected: String,
    },
    /// A directory has tensors that are no part of the model that its configuration describes.
    #[error(
        "{}: {n_tensors} tensors are no part of the model that config.json describes, such as \
         {tensor}; do the two belong together?",
        directory.display()
    )]
    ForeignTensors {
        /// The model's directory.
        directory: PathBuf,
        /// The first of them.
        tensor: String,
        /// How many there are.
        n_tensors: usize,
    },
    /// A name that is no preset.
    #[error("no model is called `{name}` here; expected one of {known}")]
    UnknownPreset {
        /// The name.
        name: String,
        /// All presets.
        known: String,
    },
    /// A name that is no precision.
    #[error("no precision is called `{name}`; expected f32 or bf16")]
    UnknownPrecision {
        /// The name.
        name: String,
    },
    /// A field of a generator's configuration cannot be.
    #[error("generator: {field} is {found}, expected {expected}")]
    GeneratorConfig {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is possible.
        expected: String,
    },
    /// The model gave logits that are no numbers.
    #[error(
        "sequence {sequence}: the logits after {n_tokens} tokens are no finite numbers; are the \
         weights damaged, or has training diverged?"
    )]
    NotFinite {
        /// The sequence.
        sequence: u64,
        /// Its tokens so far.
        n_tokens: usize,
    },
    /// A field of a LoRA configuration cannot be, or not on this model.
    #[error("LoRA: {field} is {found}, expected {expected}")]
    LoraConfig {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is possible.
        expected: &'static str,
    },
    /// A tensor of an adapter does not fit the model and the LoRA configuration.
    #[error("adapter: tensor {tensor:?}: {reason}; was it made for this model, rank and targets?")]
    LoraTensor {
        /// The tensor, under PEFT's name.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A batch is empty, or holds a token or a length that the model does not take.
    #[error("batch: {what} is {found}, expected {expected}")]
    Batch {
        /// Which part of the batch.
        what: &'static str,
        /// Its value.
        found: usize,
        /// What is possible.
        expected: String,
    },
    /// A generation request that cannot be served.
    #[error("request for sequence {sequence}: {reason}")]
    Request {
        /// The sequence.
        sequence: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A device that is not known, not compiled in, or not there.
    #[error("device {name:?}: {reason}")]
    Device {
        /// The name that was asked for.
        name: String,
        /// Why it cannot be had, and what can.
        reason: String,
    },
}

impl LlamaError {
    /// Names the file that a configuration is of.
    pub(crate) fn in_file(self, file: &Path) -> Self {
        match self {
            Self::ConfigValue { field, found, expected, .. } => {
                Self::ConfigValue { path: file.to_owned(), field, found, expected }
            }
            other => other,
        }
    }
}
