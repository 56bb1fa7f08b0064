//! Training, from a model's directory to another.

use std::path::Path;

use burn::tensor::Device;
use eef_core::TrainSummary;
use eef_llama::Llama;

use crate::checkpoint::CheckpointDirectory;
use crate::fingerprint::fingerprint;
use crate::gradients::n_parameters;
use crate::metrics::MetricsFile;
use crate::output::{read_finished, write_output};
use crate::session::Session;
use crate::{TrainConfig, TrainError, TrainExample, TrainObserver};

/// Where a training reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainPaths<'a> {
    /// The model to start from: a Hugging Face directory.
    pub init: &'a Path,
    /// The directory to write; it is complete as soon as it exists.
    pub output: &'a Path,
    /// A directory for checkpoints and for `metrics.jsonl`; created where it does not exist.
    pub scratch: &'a Path,
}

/// Fine-tunes models; see the crate's documentation for what it promises.
#[derive(Clone, Debug)]
pub struct Trainer {
    config: TrainConfig,
    device: Device,
}

impl Trainer {
    /// A trainer on a device without autodiff, such as `eef_llama::device("cpu")` gives.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the first field that cannot be.
    pub fn new(config: TrainConfig, device: Device) -> Result<Self, TrainError> {
        config.validate()?;
        Ok(Self { config, device })
    }

    /// Trains the model in `paths.init` and writes the result to `paths.output`.
    ///
    /// With [`TrainConfig::lora`], `model.safetensors` there holds the merged weights, and
    /// the folder `adapter` the adapter by itself, in PEFT's files.
    ///
    /// Where `paths.scratch` holds checkpoints of the same training (same configuration, model and
    /// examples), it continues from the newest whole one and ends with the same bytes as an
    /// uninterrupted run; where the output is there already, it only reports what was done.
    ///
    /// # Errors
    /// - [`TrainError::Interrupted`] where the observer asked to stop; a checkpoint is written.
    /// - [`TrainError::Foreign`] where output or scratch belong to another training.
    /// - [`TrainError::UnknownToken`] and [`TrainError::TooLong`] before the first step.
    /// - [`TrainError::NotFinite`] after three steps in a row without finite loss and gradients, or
    ///   a first epoch of nothing else.
    /// - [`TrainError::Model`] and [`TrainError::Io`] where files cannot be read or written.
    pub fn run(
        &self,
        paths: &TrainPaths<'_>,
        examples: &[TrainExample],
        observer: &mut dyn TrainObserver,
    ) -> Result<TrainSummary, TrainError> {
        if examples.is_empty() {
            return Err(TrainError::NoExamples);
        }
        let fingerprint = fingerprint(&self.config, paths.init, examples)?;
        let checkpoints = paths.scratch.join("checkpoints");
        if let Some(summary) = read_finished(paths.output, &fingerprint)? {
            CheckpointDirectory::clear_remains(checkpoints, &fingerprint)?;
            return Ok(summary);
        }
        let model = Llama::load(paths.init, &self.device).map_err(|error| TrainError::Model {
            doing: "read",
            path: paths.init.to_path_buf(),
            source: Box::new(error),
        })?;
        check(&model, examples)?;
        let model = match &self.config.lora {
            None => model,
            Some(lora) => model
                .with_lora(lora)
                .map_err(|source| TrainError::Lora { source: Box::new(source) })?,
        };

        let checkpoints = CheckpointDirectory::open(checkpoints)?;
        let n_parameters = n_parameters(&model);
        let (model, mut session) = match checkpoints.load_newest(&fingerprint, n_parameters)? {
            Some(checkpoint) => Session::restored(&self.config, examples, model, checkpoint)?,
            None => (model, Session::started(&self.config, examples, n_parameters, fingerprint)?),
        };
        let step = session.position.step;
        tracing::info!(step, n_steps = session.n_steps, n_parameters, "training");
        let metrics = MetricsFile::open(paths.scratch.join("metrics.jsonl"), step)?;
        observer.started(&session.start());
        let trained = session.run(model, &checkpoints, metrics, observer);
        observer.ended();
        let model = trained?;

        let summary = session.summary();
        write_output(&model, paths.init, paths.output, &session.position.fingerprint, &summary)?;
        checkpoints.clear()?;
        Ok(summary)
    }
}

/// Examples that the model cannot take, found before any time is spent.
fn check(model: &Llama, examples: &[TrainExample]) -> Result<(), TrainError> {
    let vocabulary = model.config().vocab_size;
    let limit = model.config().max_position_embeddings;
    for (example, tokens) in examples.iter().map(TrainExample::token_ids).enumerate() {
        if let Some(position) = tokens.iter().position(|&token| token as usize >= vocabulary) {
            let token = tokens[position];
            return Err(TrainError::UnknownToken { example, position, token, vocabulary });
        }
        if tokens.len() > limit {
            return Err(TrainError::TooLong { example, n_tokens: tokens.len(), limit });
        }
    }
    Ok(())
}
