//! One training under way.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use eef_core::{Seed, TrainSummary};
use eef_llama::{Llama, Precision};

use crate::adamw::{AdamW, Update};
use crate::checkpoint::{Checkpoint, CheckpointDirectory, Position};
use crate::forward::{Plan, longest_pair_at_once};
use crate::gradients::{FlatGradients, clip_factor};
use crate::memory::resident_bytes;
use crate::metrics::MetricsFile;
use crate::order::{epoch_order, micro_batches};
use crate::preference::Tally;
use crate::units::{Units, UnitsPart};
use crate::weights::{flatten, unflatten};
use crate::workers::Workers;
use crate::{Schedule, StepReport, TrainConfig, TrainError, TrainObserver, TrainStart};

/// Steps in a row without finite loss and gradients after which training gives up.
const NOT_FINITE_LIMIT: u32 = 3;

/// A training under way; the model goes through its hands by value, so that nobody else holds the
/// weights when the optimiser changes them.
pub(crate) struct Session<'a> {
    config: &'a TrainConfig,
    units: Units<'a>,
    /// Besides the model's own.
    other_devices: &'a [Device],
    workers: Workers,
    optimiser: AdamW,
    /// How far it is.
    pub position: Position,
    pub n_steps: u64,
    n_steps_per_epoch: u64,
    n_warmup: u64,
    /// The order of one epoch, remembered with its number.
    order: (usize, Vec<usize>),
    /// The step, counted from 0, whose gradients a test spoils.
    #[cfg(test)]
    spoiled_step: Option<u64>,
}

impl<'a> Session<'a> {
    pub fn started(
        config: &'a TrainConfig,
        units: Units<'a>,
        other_devices: &'a [Device],
        n_parameters: usize,
        fingerprint: String,
    ) -> Result<Self, TrainError> {
        let n_steps = config.n_steps(units.len());
        let seed = Seed::new(config.seed);
        let order = epoch_order(units.len(), config.order, seed, 0);
        Ok(Self {
            config,
            n_steps_per_epoch: units.len().div_ceil(config.batch_size) as u64,
            units,
            other_devices,
            workers: Workers::new(config.resolved_workers().max(1 + other_devices.len()))?,
            optimiser: AdamW::new(n_parameters),
            position: Position { fingerprint, n_parameters, ..Position::default() },
            n_steps,
            n_warmup: Schedule::n_warmup(config.warmup_fraction, n_steps),
            order: (0, order),
            #[cfg(test)]
            spoiled_step: None,
        })
    }

    pub fn restored(
        config: &'a TrainConfig,
        units: Units<'a>,
        other_devices: &'a [Device],
        model: Llama,
        checkpoint: Checkpoint,
    ) -> Result<(Llama, Self), TrainError> {
        let Checkpoint { position, weights, moment_1, moment_2 } = checkpoint;
        let mut session = Self::started(config, units, other_devices, 0, String::new())?;
        session.optimiser = AdamW { moment_1, moment_2, n_updates: position.n_updates };
        session.position = position;
        Ok((unflatten(model, &weights), session))
    }

    pub fn start(&self) -> TrainStart {
        TrainStart {
            n_steps_done: self.position.step,
            n_steps: self.n_steps,
            n_steps_per_epoch: self.n_steps_per_epoch,
            n_epochs: self.config.n_epochs,
            n_parameters: self.position.n_parameters,
        }
    }

    pub fn summary(&self) -> TrainSummary {
        TrainSummary {
            n_steps: self.position.step,
            n_tokens: self.position.n_tokens,
            n_trained_tokens: self.position.n_trained_tokens,
            epoch_losses: self.position.epoch_losses.clone(),
        }
    }

    /// Every step that is left.
    pub fn run(
        &mut self,
        mut model: Llama,
        checkpoints: &CheckpointDirectory,
        mut metrics: MetricsFile,
        observer: &mut dyn TrainObserver,
    ) -> Result<Llama, TrainError> {
        let every = self.config.checkpoint_every_steps;
        let mut n_saved = self.position.step;
        while self.position.step < self.n_steps {
            if observer.should_stop() {
                if n_saved < self.position.step {
                    checkpoints.save(&self.checkpoint(&model)?)?;
                }
                let (step, n_steps) = (self.position.step, self.n_steps);
                return Err(TrainError::Interrupted { step, n_steps });
            }
            let report;
            (model, report) = self.step(model)?;
            metrics.append(&report)?;
            observer.stepped(&report);
            if self.position.n_not_finite >= NOT_FINITE_LIMIT {
                return Err(TrainError::NotFinite {
                    step: report.step,
                    n_steps: self.position.n_not_finite,
                    loss: report.loss,
                });
            }
            let epoch_ended = self.position.step.is_multiple_of(self.n_steps_per_epoch);
            if epoch_ended {
                let Some(loss) = self.end_epoch() else {
                    return Err(TrainError::NotFinite {
                        step: report.step,
                        n_steps: self.position.n_not_finite,
                        loss: report.loss,
                    });
                };
                observer.epoch_ended(report.epoch, loss);
            }
            // Not while steps fail: the last good checkpoint stays.
            let is_due = epoch_ended || (every > 0 && self.position.step.is_multiple_of(every));
            if is_due && self.position.n_not_finite == 0 {
                checkpoints.save(&self.checkpoint(&model)?)?;
                n_saved = self.position.step;
            }
        }
        Ok(model)
    }

    /// One optimiser step.
    pub fn step(&mut self, mut model: Llama) -> Result<(Llama, StepReport), TrainError> {
        let begun = Instant::now();
        let epoch = (self.position.step / self.n_steps_per_epoch) as usize;
        let batch = self.batch(epoch);
        let n_trained: usize = batch.iter().map(|&unit| self.units.n_trained(unit)).sum();
        let n_tokens: usize = batch.iter().map(|&unit| self.units.n_tokens(unit)).sum();
        let n_averaged = self.units.n_averaged(&batch);
        let UnitsPart { loss_sum, gradients, tally } =
            self.gradients(&model, &batch, n_averaged)?;
        #[cfg(test)]
        let gradients = self.spoil(gradients);
        let loss = loss_sum / n_averaged as f64;
        let gradient_norm = gradients.norm();
        let factor = self.config.schedule.factor(self.position.step, self.n_steps, self.n_warmup);
        let learning_rate = self.config.learning_rate * factor;
        let is_finite = loss.is_finite() && gradient_norm.is_finite();
        if is_finite {
            let update = Update {
                gradients: &gradients,
                clip: clip_factor(gradient_norm, self.config.max_gradient_norm),
                learning_rate,
                config: &self.config.adamw,
                groups: &self.config.groups,
            };
            model = self.optimiser.update(model, update)?;
        }
        self.record(is_finite, loss_sum, n_averaged);
        self.position.n_tokens += n_tokens as u64;
        self.position.n_trained_tokens += n_trained as u64;
        let step = self.position.step;
        if !is_finite {
            tracing::warn!(step, loss, gradient_norm, units = ?batch, "step not finite: skipped");
        }
        let seconds = begun.elapsed().as_secs_f64();
        let report = StepReport {
            step,
            n_steps: self.n_steps,
            epoch: epoch + 1,
            loss,
            learning_rate,
            gradient_norm,
            n_tokens: n_tokens as u64,
            n_trained_tokens: n_trained as u64,
            updated: is_finite,
            trained_tokens_per_second: n_trained as f64 / seconds,
            resident_bytes: resident_bytes(),
            tokens_per_second: n_tokens as f64 / seconds,
            preference: tally.as_ref().map(Tally::report),
        };
        Ok((model, report))
    }

    /// The units of the next step.
    fn batch(&mut self, epoch: usize) -> Vec<usize> {
        if self.order.0 != epoch {
            let seed = Seed::new(self.config.seed);
            self.order = (epoch, epoch_order(self.units.len(), self.config.order, seed, epoch));
        }
        let first = (self.position.step % self.n_steps_per_epoch) as usize * self.config.batch_size;
        let last = (first + self.config.batch_size).min(self.units.len());
        self.order.1[first..last].to_vec()
    }

    /// Sum of losses and gradients of their mean over the whole step.
    fn gradients(
        &self,
        model: &Llama,
        batch: &[usize],
        n_averaged: usize,
    ) -> Result<UnitsPart, TrainError> {
        let limit = self.config.micro_batch_tokens;
        let pieces = micro_batches(batch, |unit| self.units.n_tokens(unit), limit);
        let scale = 1.0 / n_averaged as f64;
        let plan = Plan::new(model, self.position.n_parameters, self.config.checkpoint_layers);
        let plan = Plan { n_tokens_at_once: longest_pair_at_once(limit), ..plan };
        // Weights have changed since the last step, and nobody may hold them when they change again:
        // what is made of them here ends with the step.
        let model = at_work(model, self.config);
        let copies: Vec<Llama> =
            self.other_devices.iter().map(|device| model.clone().to_device(device)).collect();
        let job = |worker: usize, index: usize| {
            let place = worker % (1 + copies.len());
            let model = place.checked_sub(1).map_or(&model, |copy| &copies[copy]);
            self.units.forward_backward(model, &pieces[index], scale, plan)
        };
        let join = |sum: Option<UnitsPart>, part: UnitsPart| {
            let Some(mut sum) = sum else { return Some(part) };
            sum.loss_sum += part.loss_sum;
            sum.gradients.add(&part.gradients);
            sum.tally = sum.tally.zip(part.tally).map(|(sum, part)| sum.and(part));
            Some(sum)
        };
        let sum = self.workers.fold(pieces.len(), &job, None, &join)?;
        Ok(sum.unwrap_or_else(|| UnitsPart {
            loss_sum: 0.0,
            gradients: FlatGradients::zeros(plan.n_parameters),
            tally: None,
        }))
    }

    fn record(&mut self, is_finite: bool, loss_sum: f64, n_averaged: usize) {
        let position = &mut self.position;
        position.step += 1;
        position.n_updates = self.optimiser.n_updates;
        if is_finite {
            position.n_not_finite = 0;
            position.epoch_loss_sum += loss_sum;
            position.epoch_loss_count += n_averaged as u64;
        } else {
            position.n_not_finite += 1;
        }
    }

    /// Closes an epoch's books; gives its mean loss. An epoch without a finite step changed no
    /// weight and has the loss of the one before: a mean over nothing would be 0, the best there
    /// is. None where it is the first.
    fn end_epoch(&mut self) -> Option<f64> {
        let position = &mut self.position;
        let loss = match position.epoch_loss_count {
            0 => *position.epoch_losses.last()?,
            n => position.epoch_loss_sum / n as f64,
        };
        position.epoch_losses.push(loss);
        position.epoch_loss_sum = 0.0;
        position.epoch_loss_count = 0;
        Some(loss)
    }

    fn checkpoint(&self, model: &Llama) -> Result<Checkpoint, TrainError> {
        Ok(Checkpoint {
            position: self.position.clone(),
            weights: flatten(model)?,
            moment_1: self.optimiser.moment_1.clone(),
            moment_2: self.optimiser.moment_2.clone(),
        })
    }
}

/// The model as forward and backward passes read it: rounded, where the training rounds.
pub(crate) fn at_work(model: &Llama, config: &TrainConfig) -> Llama {
    // Adapters stand beside matrices that were rounded when they were read.
    match config.precision {
        Precision::Bf16 if config.lora.is_none() => model.clone().to_precision(Precision::Bf16),
        Precision::F32 | Precision::Bf16 => model.clone(),
    }
}

#[cfg(test)]
mod tests {
    use eef_llama::{LlamaConfig, device};

    use super::*;
    use crate::TrainExample;
    use crate::gradients::n_parameters;

    impl Session<'_> {
        pub(super) fn spoil(&self, mut gradients: FlatGradients) -> FlatGradients {
            if self.spoiled_step == Some(self.position.step) {
                let middle = gradients.0.len() / 2;
                gradients.0[middle] = f32::INFINITY;
            }
            gradients
        }
    }

    fn model() -> Llama {
        let shape = LlamaConfig {
            hidden_size: 8,
            intermediate_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            ..LlamaConfig::tiny(16)
        };
        Llama::init(&shape, 1, &device("cpu").unwrap()).unwrap()
    }

    /// Three epochs of one step, one of which is spoiled.
    fn epoch_losses(spoiled_step: u64) -> Result<Vec<f64>, TrainError> {
        let examples = [TrainExample::fully_trained(vec![1, 2, 3, 4]).unwrap()];
        let config = TrainConfig { n_epochs: 3, n_workers: 1, ..TrainConfig::default() };
        let model = model();
        let mut session = Session::started(
            &config,
            Units::Examples(&examples),
            &[],
            n_parameters(&model),
            String::new(),
        )
        .unwrap();
        session.spoiled_step = Some(spoiled_step);
        let scratch = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointDirectory::open(scratch.path().join("checkpoints")).unwrap();
        let metrics = MetricsFile::open(scratch.path().join("metrics.jsonl"), 0).unwrap();
        session.run(model, &checkpoints, metrics, &mut ())?;
        Ok(session.summary().epoch_losses)
    }

    #[test]
    fn an_epoch_without_a_finite_step_has_no_loss_of_its_own() {
        let losses = epoch_losses(1).unwrap();
        assert!(losses[0] > 0.0 && losses[2] > 0.0, "{losses:?}");
        assert_eq!((losses.len(), losses[1]), (3, losses[0]));
        // The first epoch has none before it.
        let error = epoch_losses(0).unwrap_err();
        assert!(matches!(error, TrainError::NotFinite { step: 1, n_steps: 1, .. }), "{error}");
    }

    #[test]
    fn a_step_with_one_infinite_gradient_changes_no_weight_and_the_next_one_goes_on() {
        let mut model = model();
        let examples = [TrainExample::fully_trained(vec![1, 2, 3, 4]).unwrap()];
        let config = TrainConfig { n_epochs: 40, n_workers: 1, ..TrainConfig::default() };
        let n_parameters = n_parameters(&model);
        let mut session =
            Session::started(&config, Units::Examples(&examples), &[], n_parameters, String::new())
                .unwrap();
        for step in 0..40 {
            let before = (flatten(&model).unwrap(), session.optimiser.clone());
            session.spoiled_step = step_is_spoiled(step).then_some(step);
            let report;
            (model, report) = session.step(model).unwrap();
            let after = (flatten(&model).unwrap(), session.optimiser.clone());
            assert_eq!(report.updated, !step_is_spoiled(step));
            assert_eq!(before != after, report.updated, "step {step}");
            assert_eq!(session.position.n_not_finite, u32::from(step_is_spoiled(step)));
            assert!(report.loss.is_finite());
        }
    }

    fn step_is_spoiled(step: u64) -> bool {
        step.is_multiple_of(2)
    }
}
