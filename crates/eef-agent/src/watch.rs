//! Tells a control what a trainer does.

use std::path::Path;

use eef_core::{Control, Event};
use eef_train::{StepReport, TensorBoardObserver, TrainObserver, TrainStart};

/// Folder of a training's scratch directory that holds TensorBoard's event files.
pub const TENSORBOARD_FOLDER: &str = "tensorboard";

/// Watches a training for a control, and for TensorBoard.
pub(crate) fn observer<'a>(
    phase: &'a str,
    control: &'a Control<'a>,
    scratch: &Path,
) -> impl TrainObserver + use<'a> {
    let curves = TensorBoardObserver::new(scratch.join(TENSORBOARD_FOLDER));
    (Watch { phase, control }, curves)
}

/// Reports steps to a [`Control`], and stops where it asks to.
struct Watch<'a> {
    phase: &'a str,
    control: &'a Control<'a>,
}

impl TrainObserver for Watch<'_> {
    fn scored(&mut self, n_done: usize, n_pairs: usize) {
        let (done, total) = (n_done as u64, n_pairs as u64);
        if done == 0 {
            let phase = "score the pairs with the model at the start".to_owned();
            self.control.report(Event::Started { phase, unit: "pairs", total });
        } else {
            self.control.report(Event::Advanced { done, note: String::new() });
        }
        if done == total {
            let summary = format!("{total} pairs");
            self.control.report(Event::Finished { summary });
        }
    }

    fn started(&mut self, start: &TrainStart) {
        let phase = self.phase.to_owned();
        self.control.report(Event::Started { phase, unit: "steps", total: start.n_steps });
        if start.n_steps_done > 0 {
            let note = "continued from a checkpoint".to_owned();
            self.control.report(Event::Advanced { done: start.n_steps_done, note });
        }
    }

    fn stepped(&mut self, report: &StepReport) {
        let right = report.preference.map_or(String::new(), |preference| {
            format!(", {:.0} % told apart", 100.0 * preference.accuracy)
        });
        let speed = report.tokens_per_second;
        let note = format!("loss {:.4}{right}, {speed:.0} tokens/s", report.loss);
        self.control.report(Event::Advanced { done: report.step, note });
    }

    fn should_stop(&mut self) -> bool {
        self.control.is_interrupted()
    }
}

/// A training's result in a line.
pub(crate) fn sentence(summary: &eef_core::TrainSummary) -> String {
    let loss =
        summary.epoch_losses.last().map_or(String::new(), |loss| format!(", loss {loss:.4}"));
    format!(
        "{} steps, {} tokens ({} trained){loss}",
        summary.n_steps, summary.n_tokens, summary.n_trained_tokens
    )
}
