//! A learner over a trainer: trajectories in, model directories out.

use std::ops::Range;
use std::path::Path;

use eef_chat::{Encoder, Example};
use eef_core::{
    Control, Event, Learner, LearnerError, OutcomeLabel, Policy, PreferenceItem, TrainRequest,
    TrainSummary, TrainingData, TrainingItem, Trajectory,
};
use eef_llama::{InferenceModel, device};
use eef_train::{
    PreferenceConfig, PreferencePair, TrainConfig, TrainExample, TrainPaths, Trainer,
    log_likelihoods,
};

use crate::shared::LastLoaded;
use crate::watch::{observer, sentence};
use crate::{AgentError, LearnerOptions, LlamaPolicy, LoadOptions, PreferenceOptions, model};

/// A [`Learner`] for models in Hugging Face directories.
///
/// Policies opened on one model share its weights, however many there are: generating only reads
/// them. The learner keeps the last model it opened until another one is opened or it trains.
#[derive(Clone, Debug)]
pub struct LlamaLearner {
    options: LearnerOptions,
    /// The model that policies were last opened on.
    last: LastLoaded<(InferenceModel, Encoder)>,
}

impl LlamaLearner {
    /// Sets a learner up.
    ///
    /// # Errors
    /// [`AgentError`] where the device cannot be had, or the training configuration cannot be.
    pub fn new(options: LearnerOptions) -> Result<Self, AgentError> {
        device(&options.device)?;
        options.train.validate()?;
        Ok(Self { options, last: LastLoaded::default() })
    }

    /// Its settings.
    pub fn options(&self) -> &LearnerOptions {
        &self.options
    }

    /// What a training on these items sees, with the tokenizer and template of a model.
    ///
    /// # Errors
    /// [`AgentError::Chat`]; a trajectory that does not fit the context is named.
    pub fn examples(
        &self,
        directory: &Path,
        items: &[TrainingItem],
    ) -> Result<Vec<TrainExample>, AgentError> {
        let reader = self.reader(directory)?;
        items
            .iter()
            .map(|item| {
                let trained = item.train_from..item.trajectory.n_actions();
                reader.example(&item.trajectory, trained, item.label)
            })
            .collect()
    }

    /// The same of pairs.
    ///
    /// # Errors
    /// As there.
    pub fn pairs(
        &self,
        directory: &Path,
        pairs: &[PreferenceItem],
    ) -> Result<Vec<PreferencePair>, AgentError> {
        let reader = self.reader(directory)?;
        pairs
            .iter()
            .map(|PreferenceItem { chosen, rejected, n_rejected_actions }| {
                Ok(PreferencePair {
                    chosen: reader.example(chosen, 0..chosen.n_actions(), None)?,
                    rejected: reader.example(rejected, 0..*n_rejected_actions, None)?,
                })
            })
            .collect()
    }

    fn reader(&self, directory: &Path) -> Result<Reader<'_>, AgentError> {
        let encoder = model::open_encoder(directory)?;
        let config = model::open_config(directory)?;
        model::check_vocabulary(directory, &encoder, &config)?;
        let limit = self.options.generation.limit(&config)?;
        Ok(Reader { options: &self.options, encoder, limit })
    }

    fn run(
        &self,
        request: &TrainRequest<'_>,
        control: &Control<'_>,
    ) -> Result<TrainSummary, AgentError> {
        let n_epochs = |n_trained: usize| match request.max_trained_tokens {
            None => request.n_epochs,
            Some(limit) => {
                let n_fitting = limit / (n_trained as u64).max(1);
                (n_fitting as usize).clamp(1, request.n_epochs.max(1))
            }
        };
        let config = TrainConfig {
            n_epochs: request.n_epochs,
            learning_rate: request.learning_rate,
            seed: request.seed.get(),
            ..self.options.train.clone()
        };
        let paths =
            TrainPaths { init: request.init, output: request.output, scratch: request.scratch };
        let device = device(&self.options.device)?;
        let mut observer = observer("train", control, request.scratch);
        let summary = match request.data {
            TrainingData::Demonstrations(items) => {
                let examples = self.examples(request.init, items)?;
                let n_trained = examples.iter().map(TrainExample::n_trained).sum();
                let config = TrainConfig { n_epochs: n_epochs(n_trained), ..config };
                Trainer::new(config, device)?.run(&paths, &examples, &mut observer)?
            }
            TrainingData::Preferences { pairs, beta } => {
                let PreferenceOptions { batch_size, schedule, warmup_fraction } =
                    self.options.preferences;
                let pairs = self.pairs(request.init, pairs)?;
                let of =
                    |pair: &PreferencePair| pair.chosen.n_trained() + pair.rejected.n_trained();
                let n_epochs = n_epochs(pairs.iter().map(of).sum());
                let config =
                    TrainConfig { n_epochs, batch_size, schedule, warmup_fraction, ..config };
                let preference = PreferenceConfig { beta };
                let trainer = Trainer::new(config, device)?;
                trainer.run_preferences(&paths, &pairs, preference, &mut observer)?
            }
        };
        control.report(Event::Finished { summary: sentence(&summary) });
        Ok(summary)
    }
}

impl LlamaLearner {
    fn score(
        &self,
        directory: &Path,
        items: &[TrainingItem],
        control: &Control<'_>,
    ) -> Result<Vec<f64>, AgentError> {
        let examples = self.examples(directory, items)?;
        let load = LoadOptions { device: &self.options.device, ..LoadOptions::default() };
        let (llama, _) = model::open(directory, load)?;
        let phase = "likelihoods".to_owned();
        let total = examples.len() as u64;
        control.report(Event::Started { phase, unit: "trajectories", total });
        let mut found = Vec::with_capacity(examples.len());
        let mut rest = examples.as_slice();
        while !rest.is_empty() {
            if control.is_interrupted() {
                return Err(AgentError::Interrupted);
            }
            // As many as make a micro-batch, and at least one.
            let mut n_tokens = 0;
            let fits = |example: &&TrainExample| {
                n_tokens += example.n_tokens();
                n_tokens <= self.options.train.micro_batch_tokens
            };
            let n = rest.iter().take_while(fits).count().max(1);
            let (batch, later) = rest.split_at(n);
            let sums = log_likelihoods(&llama, &batch.iter().collect::<Vec<_>>())?;
            let means = sums.iter().zip(batch).map(|(sum, one)| sum / one.n_trained() as f64);
            found.extend(means);
            rest = later;
            let done = found.len() as u64;
            control.report(Event::Advanced { done, note: String::new() });
        }
        let summary = format!("{} trajectories", found.len());
        control.report(Event::Finished { summary });
        Ok(found)
    }
}

/// Reads trajectories as a model does.
struct Reader<'a> {
    options: &'a LearnerOptions,
    encoder: Encoder,
    limit: usize,
}

impl Reader<'_> {
    fn example(
        &self,
        trajectory: &Trajectory,
        trained: Range<usize>,
        label: Option<OutcomeLabel>,
    ) -> Result<TrainExample, AgentError> {
        let prompt = self.options.prompt.announcing(label, self.options.label_style);
        let example = Example::of_actions(&self.encoder, trajectory, trained, prompt, self.limit)?;
        Ok(TrainExample::new(example.token_ids, example.loss_mask.into_vec())?)
    }
}

impl Learner for LlamaLearner {
    fn train(
        &self,
        request: &TrainRequest<'_>,
        control: &Control<'_>,
    ) -> Result<TrainSummary, LearnerError> {
        if request.data.is_empty() {
            return Err(LearnerError::NoItems);
        }
        // Training needs the memory, and what explores next is another model.
        self.last.release();
        self.run(request, control)
            .map_err(|error| error.in_learner(format!("training {}", request.output.display())))
    }

    fn likelihoods(
        &self,
        directory: &Path,
        items: &[TrainingItem],
        control: &Control<'_>,
    ) -> Result<Vec<f64>, LearnerError> {
        self.score(directory, items, control)
            .map_err(|error| error.in_learner(format!("scoring with {}", directory.display())))
    }

    fn policy(&self, directory: &Path) -> Result<Box<dyn Policy>, LearnerError> {
        let open = || {
            let load = || {
                let options =
                    LoadOptions { device: &self.options.device, ..LoadOptions::default() };
                let (llama, encoder) = model::open(directory, options)?;
                Ok::<_, AgentError>((InferenceModel::from(llama), encoder))
            };
            let (model, encoder) = self.last.get(directory, load)?;
            LlamaPolicy::new(model, encoder, &self.options.generation)
        };
        match open() {
            Ok(policy) => Ok(Box::new(policy)),
            Err(error) => Err(error.in_learner(format!("opening {}", directory.display()))),
        }
    }
}
