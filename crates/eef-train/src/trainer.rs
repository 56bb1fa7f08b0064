//! Training, from a model's directory to another.

use std::path::Path;

use burn::tensor::Device;
use eef_core::TrainSummary;
use eef_llama::Llama;

use crate::checkpoint::CheckpointDirectory;
use crate::fingerprint::fingerprint;
use crate::gradients::n_parameters;
use crate::groups::check_groups;
use crate::metrics::MetricsFile;
use crate::output::{read_finished, write_output};
use crate::reference::{self, reference};
use crate::session::{Session, at_work};
use crate::units::Units;
use crate::{
    PreferenceConfig, PreferencePair, TrainConfig, TrainError, TrainExample, TrainObserver,
};

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
    /// Where the model lives, and where copies of it help.
    device: Device,
    other_devices: Vec<Device>,
}

/// What a training is given.
#[derive(Clone, Copy)]
pub(crate) enum Data<'a> {
    Examples(&'a [TrainExample]),
    Pairs(&'a [PreferencePair], PreferenceConfig),
}

impl<'a> Data<'a> {
    /// All sequences in order; chosen and rejected in turn.
    pub fn examples(self) -> Box<dyn Iterator<Item = &'a TrainExample> + 'a> {
        match self {
            Self::Examples(examples) => Box::new(examples.iter()),
            Self::Pairs(pairs, _) => Box::new(pairs.iter().flat_map(PreferencePair::examples)),
        }
    }
}

impl Trainer {
    /// A trainer on a device without autodiff, such as `eef_llama::device("cpu")` gives.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the first field that cannot be.
    pub fn new(config: TrainConfig, device: Device) -> Result<Self, TrainError> {
        Self::on_devices(config, vec![device])
    }

    /// A trainer on several devices: each thread works on one of them, micro-batch after micro-batch,
    /// and their gradients are summed in the order of the micro-batches, so that devices of one kind
    /// change no result. Weights and optimiser live on the first; the others get copies of the weights
    /// before every step.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the first field that cannot be, or where there is no device.
    pub fn on_devices(config: TrainConfig, devices: Vec<Device>) -> Result<Self, TrainError> {
        config.validate()?;
        let mut devices = devices.into_iter();
        let none = TrainError::Config { field: "devices", expected: "at least one" };
        let device = devices.next().ok_or(none)?;
        Ok(Self { config, device, other_devices: devices.collect() })
    }

    /// Trains the model in `paths.init` and writes the result to `paths.output`.
    ///
    /// With [`TrainConfig::lora`], `model.safetensors` there holds the merged weights, and
    /// the folder `adapter` the adapter by itself, in PEFT's files. Its weights are `f32`, or in
    /// bfloat16 where adapters were trained beside matrices of that precision.
    ///
    /// Where `paths.scratch` holds checkpoints of the same training (same configuration, model and
    /// examples), it continues from the newest whole one and ends with the same bytes as an
    /// uninterrupted run; where the output is there already, it only reports what was done.
    ///
    /// # Errors
    /// - [`TrainError::Interrupted`] where the observer asked to stop; a checkpoint is written.
    /// - [`TrainError::Foreign`] where output or scratch belong to another training.
    /// - [`TrainError::EmptyGroup`] where a parameter group names what is not trained.
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
        self.train(paths, Data::Examples(examples), observer)
    }

    /// Trains the model in `paths.init` to prefer the chosen sequences of pairs over the rejected
    /// ones (see [`PreferenceConfig`]), with the same promises as [`Trainer::run`].
    ///
    /// A batch counts pairs, and the losses are means over pairs. What the model at the start says
    /// of each pair is computed once and kept in `paths.scratch` until the training has ended.
    ///
    /// ```
    /// use eef_llama::{Llama, LlamaConfig, device};
    /// use eef_train::{PreferenceConfig, PreferencePair, TrainConfig, TrainExample, TrainPaths};
    /// use eef_train::Trainer;
    ///
    /// let scratch = tempfile::tempdir()?;
    /// let init = scratch.path().join("init");
    /// Llama::init(&LlamaConfig::tiny(32), 1, &device("cpu")?)?.save(&init)?;
    /// let answer = |token| TrainExample::new(vec![1, 5, token], vec![false, false, true]);
    /// let pairs = [PreferencePair { chosen: answer(9)?, rejected: answer(8)? }];
    /// let paths = TrainPaths {
    ///     init: &init,
    ///     output: &scratch.path().join("tuned"),
    ///     scratch: &scratch.path().join("training"),
    /// };
    /// let config = TrainConfig { n_epochs: 20, ..TrainConfig::default() };
    /// let trainer = Trainer::new(config, device("cpu")?)?;
    /// let summary = trainer.run_preferences(&paths, &pairs, PreferenceConfig::default(), &mut ())?;
    /// assert!((summary.epoch_losses[0] - 2_f64.ln()).abs() < 1e-6);
    /// assert!(summary.epoch_losses[19] < summary.epoch_losses[0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Trainer::run`], and [`TrainError::Config`] where β cannot be.
    pub fn run_preferences(
        &self,
        paths: &TrainPaths<'_>,
        pairs: &[PreferencePair],
        preference: PreferenceConfig,
        observer: &mut dyn TrainObserver,
    ) -> Result<TrainSummary, TrainError> {
        preference.validate()?;
        self.train(paths, Data::Pairs(pairs, preference), observer)
    }

    fn train(
        &self,
        paths: &TrainPaths<'_>,
        data: Data<'_>,
        observer: &mut dyn TrainObserver,
    ) -> Result<TrainSummary, TrainError> {
        if data.examples().next().is_none() {
            return Err(TrainError::NoExamples);
        }
        let fingerprint = fingerprint(&self.config, paths.init, data)?;
        let checkpoints = paths.scratch.join("checkpoints");
        if let Some(summary) = read_finished(paths.output, &fingerprint)? {
            CheckpointDirectory::clear_remains(checkpoints, &fingerprint)?;
            remove_reference(paths)?;
            return Ok(summary);
        }
        let precision = self.config.kept_precision();
        let model = Llama::load_as(paths.init, &self.device, precision).map_err(|error| {
            TrainError::Model {
                doing: "read",
                path: paths.init.to_path_buf(),
                source: Box::new(error),
            }
        })?;
        check(&model, data)?;
        let model = with_adapters(model, &self.config)?;
        check_groups(&self.config.groups, &model)?;

        let checkpoints = CheckpointDirectory::open(checkpoints)?;
        let units = match data {
            Data::Examples(examples) => Units::Examples(examples),
            Data::Pairs(pairs, PreferenceConfig { beta }) => {
                let path = paths.scratch.join(reference::FILE);
                let (config, print) = (&self.config, fingerprint.as_str());
                let reference =
                    reference(&at_work(&model, config), pairs, config, print, &path, observer)?;
                Units::Pairs { pairs, reference, beta }
            }
        };
        let n_parameters = n_parameters(&model);
        let others = &self.other_devices;
        let (model, mut session) = match checkpoints.load_newest(&fingerprint, n_parameters)? {
            Some(checkpoint) => Session::restored(&self.config, units, others, model, checkpoint)?,
            None => {
                (model, Session::started(&self.config, units, others, n_parameters, fingerprint)?)
            }
        };
        let step = session.position.step;
        tracing::info!(step, n_steps = session.n_steps, n_parameters, "training");
        let metrics = MetricsFile::open(paths.scratch.join("metrics.jsonl"), step)?;
        observer.started(&session.start());
        let trained = session.run(model, &checkpoints, metrics, observer);
        observer.ended();
        let model = trained?;

        let summary = session.summary();
        let fingerprint = &session.position.fingerprint;
        write_output(&model, precision, paths.init, paths.output, fingerprint, &summary)?;
        checkpoints.clear()?;
        remove_reference(paths)?;
        Ok(summary)
    }
}

fn remove_reference(paths: &TrainPaths<'_>) -> Result<(), TrainError> {
    let path = paths.scratch.join(reference::FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(TrainError::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// The model as it is trained: with adapters, where the configuration asks for them.
pub(crate) fn with_adapters(model: Llama, config: &TrainConfig) -> Result<Llama, TrainError> {
    let model = model.to_precision(config.kept_precision());
    match &config.lora {
        None => Ok(model),
        Some(lora) => {
            model.with_lora(lora).map_err(|source| TrainError::Lora { source: Box::new(source) })
        }
    }
}

/// Examples that the model cannot take, found before any time is spent.
pub(crate) fn check(model: &Llama, data: Data<'_>) -> Result<(), TrainError> {
    let vocabulary = model.config().vocab_size;
    let limit = model.config().max_position_embeddings;
    for (example, tokens) in data.examples().map(TrainExample::token_ids).enumerate() {
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
