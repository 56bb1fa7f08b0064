//! A bridge to burn-train's renderers, such as its terminal dashboard.

use std::sync::Arc;

use burn_train::Interrupter;
use burn_train::metric::state::{FormatOptions, NumericMetricState};
use burn_train::metric::{
    MetricAttributes, MetricDefinition, MetricEntry, MetricId, NumericAttributes,
};
use burn_train::renderer::{MetricState, MetricsRenderer};

use crate::{StepReport, TrainObserver, TrainStart};

/// Shows a training through any [`MetricsRenderer`] of burn-train.
///
/// With the feature `tui`, [`RendererObserver::dashboard`] shows its terminal dashboard. The means shown per epoch are burn-train's own [`NumericMetricState`], here weighted
/// by trained tokens. Where the user stops the dashboard, the training stops with a checkpoint.
pub struct RendererObserver {
    /// Makes the renderer when the training begins.
    open: Option<Open>,
    renderer: Option<Box<dyn MetricsRenderer>>,
    interrupter: Interrupter,
    metrics: Vec<Metric>,
    n_steps_per_epoch: u64,
    in_epoch: bool,
}

type Open = Box<dyn FnOnce() -> Box<dyn MetricsRenderer>>;

struct Metric {
    name: &'static str,
    unit: Option<&'static str>,
    higher_is_better: bool,
    value: fn(&StepReport) -> Option<f64>,
    state: NumericMetricState,
}

impl Metric {
    fn id(&self) -> MetricId {
        MetricId::new(Arc::new(self.name.to_owned()))
    }

    fn definition(&self) -> MetricDefinition {
        MetricDefinition {
            metric_id: self.id(),
            name: Arc::new(self.name.to_owned()),
            description: None,
            attributes: MetricAttributes::Numeric(NumericAttributes {
                unit: self.unit.map(str::to_owned),
                higher_is_better: self.higher_is_better,
            }),
        }
    }

    fn update(&mut self, report: &StepReport) -> Option<MetricState> {
        // A loss of pairs is a mean over pairs, whose tokens do not count.
        let weight = if report.preference.is_some() { 1 } else { report.n_trained_tokens };
        self.state.update((self.value)(report)?, weight as usize);
        let format = FormatOptions::new(Arc::new(self.name.to_owned())).precision(4);
        let entry = MetricEntry::new(self.id(), self.state.compute_update(format));
        Some(MetricState::Numeric(entry, Some(self.state.current_value())))
    }
}

impl RendererObserver {
    /// burn-train's terminal dashboard, with curves of every metric; `q` there asks what to do: stop with
    /// a checkpoint, or go on. It takes the whole terminal until the training has ended.
    #[cfg(feature = "tui")]
    pub fn dashboard() -> Self {
        use burn_train::renderer::tui::TuiMetricsRendererWrapper;

        let interrupter = Interrupter::new();
        let of_renderer = interrupter.clone();
        // Not before the training begins: until then something else may be shown.
        Self::opened_by(
            Box::new(|| Box::new(TuiMetricsRendererWrapper::new(of_renderer, None))),
            interrupter,
        )
    }

    /// Renders through `renderer`; `interrupter` is the one that it was given, if any.
    pub fn new(renderer: Box<dyn MetricsRenderer>, interrupter: Interrupter) -> Self {
        Self::opened_by(Box::new(|| renderer), interrupter)
    }

    fn opened_by(open: Open, interrupter: Interrupter) -> Self {
        type Row = (&'static str, Option<&'static str>, bool, fn(&StepReport) -> Option<f64>);
        let metrics: [Row; 5] = [
            ("Loss", Some("nats"), false, |report| Some(report.loss)),
            ("Learning rate", None, false, |report| Some(report.learning_rate)),
            ("Gradient norm", None, false, |report| Some(report.gradient_norm)),
            ("Speed", Some("tokens/s"), true, |report| Some(report.tokens_per_second)),
            ("Memory", Some("GB"), false, |report| Some(report.resident_bytes? as f64 / 1e9)),
        ];
        let metrics = metrics
            .into_iter()
            .map(|(name, unit, higher_is_better, value)| Metric {
                name,
                unit,
                higher_is_better,
                value,
                state: NumericMetricState::new(),
            })
            .collect();
        let (open, renderer) = (Some(open), None);
        Self { open, renderer, interrupter, metrics, n_steps_per_epoch: 1, in_epoch: false }
    }
}

impl TrainObserver for RendererObserver {
    fn started(&mut self, start: &TrainStart) {
        self.n_steps_per_epoch = start.n_steps_per_epoch.max(1);
        if let Some(open) = self.open.take() {
            self.renderer = Some(open());
        }
        let Some(renderer) = &mut self.renderer else { return };
        for metric in &self.metrics {
            renderer.register_metric(metric.definition());
        }
        // burn-train counts the epoch under way, from 1.
        let epoch = (start.n_steps_done / self.n_steps_per_epoch) as usize + 1;
        renderer.start(start.n_epochs, epoch.min(start.n_epochs), None, Some("training"));
    }

    fn stepped(&mut self, report: &StepReport) {
        let Some(renderer) = &mut self.renderer else { return };
        if !self.in_epoch {
            self.in_epoch = true;
            renderer.start_split("train", self.n_steps_per_epoch as usize);
        }
        // What is no number would stay in the means to the end of the epoch.
        for metric in self.metrics.iter_mut().filter(|_| report.updated) {
            if let Some(state) = metric.update(report) {
                renderer.update_train(state);
            }
        }
        if !report.updated {
            renderer.log_event_training(format!("step {} was not finite", report.step));
        }
        renderer.update_split(((report.step - 1) % self.n_steps_per_epoch + 1) as usize);
    }

    fn epoch_ended(&mut self, epoch: usize, _loss: f64) {
        self.in_epoch = false;
        for metric in &mut self.metrics {
            metric.state.reset();
        }
        if let Some(renderer) = &mut self.renderer {
            renderer.end_split();
            renderer.update_epoch(epoch);
        }
    }

    fn ended(&mut self) {
        let Some(renderer) = &mut self.renderer else { return };
        renderer.end();
        if let Err(error) = renderer.on_train_end(None) {
            tracing::warn!(%error, "the renderer could not end cleanly");
        }
    }

    fn should_stop(&mut self) -> bool {
        self.interrupter.should_stop()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::sync::Mutex;

    use burn_train::LearnerSummary;
    use burn_train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
    use burn_train::renderer::{
        EvaluationName, MetricsRendererEvaluation, MetricsRendererTraining,
    };

    use super::*;

    /// Writes down what it is told.
    #[derive(Clone, Default)]
    struct Notes(Arc<Mutex<Vec<String>>>);

    impl Notes {
        fn add(&self, note: String) {
            self.0.lock().unwrap().push(note);
        }
    }

    impl MetricsRendererTraining for Notes {
        fn update_train(&mut self, state: MetricState) {
            let MetricState::Numeric(entry, Some(value)) = state else { panic!("not numeric") };
            let formatted = entry.serialized_entry.formatted;
            self.add(format!("{:?} {} {formatted}", entry.metric_id, value.current()));
        }
        fn update_valid(&mut self, _: MetricState) {}
        fn on_train_end(&mut self, _: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
            Ok(())
        }
    }

    impl TrainingProgressLogger for Notes {
        fn start(&mut self, epochs: usize, epoch: usize, _: Option<usize>, _: Option<&str>) {
            self.add(format!("start {epoch} of {epochs}"));
        }
        fn update_epoch(&mut self, epoch: usize) {
            self.add(format!("epoch {epoch}"));
        }
        fn start_split(&mut self, split: &str, total: usize) {
            self.add(format!("{split} {total}"));
        }
        fn update_split(&mut self, done: usize) {
            self.add(format!("done {done}"));
        }
        fn end_split(&mut self) {}
        fn end(&mut self) {
            self.add("end".to_owned());
        }
        fn log_event_training(&mut self, event: String) {
            self.add(event);
        }
    }

    impl EvaluationProgressLogger for Notes {
        fn start_global_progress(&mut self, _: usize) {}
        fn start_test(&mut self, _: &str, _: usize) {}
        fn update_test_progress(&mut self, _: usize) {}
        fn end_test(&mut self) {}
        fn end_global_progress(&mut self) {}
        fn log_event_evaluation(&mut self, _: String) {}
    }

    impl MetricsRendererEvaluation for Notes {
        fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
    }

    impl MetricsRenderer for Notes {
        fn manual_close(&mut self) {}
        fn register_metric(&mut self, definition: MetricDefinition) {
            self.add(format!("metric {}", definition.name));
        }
    }

    fn report(step: u64, loss: f64, n_trained_tokens: u64) -> StepReport {
        StepReport {
            step,
            n_steps: 4,
            epoch: 1,
            loss,
            learning_rate: 1e-3,
            gradient_norm: 1.0,
            n_tokens: 9,
            n_trained_tokens,
            updated: step != 2,
            trained_tokens_per_second: 3e3,
            resident_bytes: None,
            tokens_per_second: 1e4,
            preference: None,
        }
    }

    #[test]
    fn the_renderer_sees_steps_epochs_and_token_weighted_means() {
        let notes = Notes::default();
        let interrupter = Interrupter::new();
        let mut observer = RendererObserver::new(Box::new(notes.clone()), interrupter.clone());
        observer.started(&TrainStart {
            n_steps_done: 0,
            n_steps: 6,
            n_steps_per_epoch: 3,
            n_epochs: 2,
            n_parameters: 10,
        });
        observer.stepped(&report(1, 1.0, 3));
        observer.stepped(&report(2, f64::NAN, 1));
        observer.stepped(&report(3, 3.0, 1));
        observer.epoch_ended(1, 1.5);
        assert!(!observer.should_stop());
        interrupter.stop(None);
        assert!(observer.should_stop());
        observer.ended();
        let notes = notes.0.lock().unwrap();
        for expected in ["metric Loss", "start 1 of 2", "train 3", "done 1", "done 3", "epoch 1"] {
            assert!(notes.iter().any(|note| note == expected), "{expected} in {notes:?}");
        }
        assert!(notes.iter().any(|note| note.contains("step 2 was not finite")), "{notes:?}");
        // (3 × 1.0 + 1 × 3.0) / 4; what was not finite does not count.
        assert!(notes.iter().any(|note| note.contains("epoch 1.5000 - batch 3.0000")), "{notes:?}");
        assert_eq!(notes.last().unwrap(), "end");
    }
}
