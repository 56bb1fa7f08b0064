//! A training as TensorBoard shows it.

mod events;

use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{PreferenceReport, StepReport, TrainObserver, TrainStart};
use events::{Event, EventFile, What};

/// Writes TensorBoard's event files: what `tensorboard --logdir DIRECTORY` shows, also while the
/// training runs.
///
/// | scalar | unit |
/// |---|---|
/// | `train/loss` | nats per trained token, or per preference pair |
/// | `train/learning_rate` | – |
/// | `train/gradient_norm` | –, before clipping |
/// | `speed/tokens_per_second` | tokens/s |
/// | `speed/trained_tokens_per_second` | tokens that carry loss, per second |
/// | `memory/resident_bytes` | bytes; left out where the system does not tell |
/// | `preference/accuracy` | share of pairs, in preference training |
/// | `preference/chosen_reward`, `preference/rejected_reward` | nats times β, in preference training |
///
/// Every process begins a file of its own and says in it at which step it starts; TensorBoard drops
/// what earlier files hold of that step and later ones, so a resumed training has every step once.
///
/// A training is worth more than its curves: where a file cannot be written (a full disk), one
/// warning is emitted, that step is missing, and the next step is tried again.
///
/// ```
/// use eef_llama::{Llama, LlamaConfig, device};
/// use eef_train::{TensorBoardObserver, TrainConfig, TrainExample, TrainPaths, Trainer};
///
/// let scratch = tempfile::tempdir()?;
/// let init = scratch.path().join("init");
/// Llama::init(&LlamaConfig::tiny(32), 1, &device("cpu")?)?.save(&init)?;
/// let examples = [TrainExample::fully_trained(vec![1, 5, 9, 2])?];
/// let paths = TrainPaths {
///     init: &init,
///     output: &scratch.path().join("tuned"),
///     scratch: &scratch.path().join("training"),
/// };
/// let curves = scratch.path().join("curves");
/// let mut observer = TensorBoardObserver::new(&curves);
/// Trainer::new(TrainConfig::default(), device("cpu")?)?.run(&paths, &examples, &mut observer)?;
/// assert_eq!(std::fs::read_dir(&curves)?.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorBoardObserver {
    directory: PathBuf,
    /// None before the first step, and where the file could not be begun.
    file: Option<EventFile>,
    /// Whether a failure was told.
    has_warned: bool,
}

impl TensorBoardObserver {
    /// Will write into a directory, which is made at the first step where it does not exist.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), file: None, has_warned: false }
    }

    fn write(&mut self, report: &StepReport) -> io::Result<()> {
        let wall_time = seconds_since_1970();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(EventFile::create(&self.directory, wall_time, report.step)?),
        };
        let mut scalars = vec![
            ("train/loss", report.loss),
            ("train/learning_rate", report.learning_rate),
            ("train/gradient_norm", report.gradient_norm),
            ("speed/tokens_per_second", report.tokens_per_second),
            ("speed/trained_tokens_per_second", report.trained_tokens_per_second),
        ];
        scalars.extend(report.resident_bytes.map(|bytes| ("memory/resident_bytes", bytes as f64)));
        if let Some(PreferenceReport { accuracy, chosen_reward, rejected_reward }) =
            report.preference
        {
            scalars.extend([
                ("preference/accuracy", accuracy),
                ("preference/chosen_reward", chosen_reward),
                ("preference/rejected_reward", rejected_reward),
            ]);
        }
        file.append(Event { wall_time, step: report.step, what: What::Scalars(&scalars) })
    }
}

impl TrainObserver for TensorBoardObserver {
    fn started(&mut self, _: &TrainStart) {
        // Another training with the same observer has a file of its own.
        self.file = None;
        self.has_warned = false;
    }

    fn stepped(&mut self, report: &StepReport) {
        let Err(error) = self.write(report) else { return };
        if !self.has_warned {
            self.has_warned = true;
            let (directory, step) = (self.directory.display(), report.step);
            tracing::warn!(%directory, step, %error, "TensorBoard's event file cannot be written");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "TensorBoard shows when a step was; nothing that is trained depends on it"
)]
fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
