//! What TensorBoard is given of a training.

#![allow(clippy::unwrap_used, reason = "a failure of set-up is a failure of the test")]

mod common;
mod event_reader;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use common::{DieAt, Folders, Reports, StopAfter, examples, lines, six_steps};
use eef_train::{StepReport, TensorBoardObserver, TrainObserver};
use event_reader::{Read, read_events, shown};

const STEPS: [u64; 6] = [1, 2, 3, 4, 5, 6];

fn only_file(directory: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(directory).unwrap().collect();
    assert_eq!(files.len(), 1);
    files.into_iter().next().unwrap().unwrap().path()
}

fn steps(shown: &[(u64, BTreeMap<String, f32>)]) -> Vec<u64> {
    shown.iter().map(|(step, _)| *step).collect()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the time that an event must have")]
fn a_file_holds_its_version_the_start_and_the_reports() {
    let folders = Folders::new();
    let curves = folders.root.path().join("curves");
    let mut observer = (Reports::default(), TensorBoardObserver::new(&curves));
    folders.train("whole", &six_steps(), &examples(11), &mut observer).unwrap();
    let file = only_file(&curves);
    assert!(file.to_str().unwrap().contains("events.out.tfevents."));
    let events = read_events(&file);
    assert_eq!(events[0], Read::Version("brain.Event:2".to_owned()));
    assert_eq!(events[1], Read::Start { step: 1 });
    let reports = observer.0.0;
    assert_eq!((events.len(), reports.len()), (8, 6));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    for (event, report) in events[2..].iter().zip(&reports) {
        let Read::Scalars { step, wall_time, values } = event else { panic!("{event:?}") };
        assert_eq!(*step, report.step);
        assert!((now - 600.0..=now).contains(wall_time), "{wall_time}");
        let mut expected = BTreeMap::from([
            ("train/loss".to_owned(), report.loss as f32),
            ("train/learning_rate".to_owned(), report.learning_rate as f32),
            ("train/gradient_norm".to_owned(), report.gradient_norm as f32),
            ("speed/tokens_per_second".to_owned(), report.tokens_per_second as f32),
            ("speed/trained_tokens_per_second".to_owned(), report.trained_tokens_per_second as f32),
        ]);
        if let Some(bytes) = report.resident_bytes {
            expected.insert("memory/resident_bytes".to_owned(), bytes as f32);
        }
        assert_eq!(*values, expected);
        assert!(report.trained_tokens_per_second < report.tokens_per_second);
    }
    assert_eq!(reports[0].resident_bytes.is_some(), cfg!(target_os = "linux"));
    // The JSON lines tell the same.
    for (line, report) in lines(&folders.scratch("whole").join("metrics.jsonl")).iter().zip(reports)
    {
        assert_eq!(line["resident_bytes"].as_u64(), report.resident_bytes);
        let rate = line["trained_tokens_per_second"].as_f64();
        assert_eq!(rate, Some(report.trained_tokens_per_second));
    }
}

#[test]
fn an_interrupted_training_shows_every_step_once() {
    let folders = Folders::new();
    let (config, examples) = (six_steps(), examples(11));
    for n_steps in 1..6 {
        let name = format!("stopped-{n_steps}");
        let curves = folders.scratch(&name).join("curves");
        let mut observer = (StopAfter(n_steps), TensorBoardObserver::new(&curves));
        folders.train(&name, &config, &examples, &mut observer).unwrap_err();
        let mut observer = TensorBoardObserver::new(&curves);
        folders.train(&name, &config, &examples, &mut observer).unwrap();
        assert_eq!(fs::read_dir(&curves).unwrap().count(), 2);
        assert_eq!(steps(&shown(&curves)), STEPS);
    }
}

#[test]
fn steps_that_a_killed_training_does_again_are_shown_once_as_last_done() {
    let folders = Folders::new();
    let (config, examples) = (six_steps(), examples(11));
    for step in 1..=6 {
        let name = format!("killed-{step}");
        let curves = folders.scratch(&name).join("curves");
        let mut observer = (TensorBoardObserver::new(&curves), DieAt(step));
        let training = || folders.train(&name, &config, &examples, &mut observer);
        assert!(catch_unwind(AssertUnwindSafe(training)).is_err());
        assert_eq!(steps(&shown(&curves)), STEPS[..step as usize]);
        let mut observer = (Reports::default(), TensorBoardObserver::new(&curves));
        folders.train(&name, &config, &examples, &mut observer).unwrap();
        let shown = shown(&curves);
        assert_eq!(steps(&shown), STEPS);
        for report in observer.0.0 {
            let (_, values) = &shown[report.step as usize - 1];
            assert_eq!(values["speed/tokens_per_second"], report.tokens_per_second as f32);
        }
    }
}

/// Removes a file after a step.
struct RemoveAfter(u64, PathBuf);

impl TrainObserver for RemoveAfter {
    fn stepped(&mut self, report: &StepReport) {
        if report.step == self.0 {
            fs::remove_file(&self.1).unwrap();
        }
    }
}

/// Counts warnings.
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn files_that_cannot_be_written_cost_one_warning_and_nothing_of_the_training() {
    let folders = Folders::new();
    let (config, examples) = (six_steps(), examples(11));
    folders.train("whole", &config, &examples, &mut ()).unwrap();
    let curves = folders.root.path().join("curves");
    fs::write(&curves, "a file in the directory's place").unwrap();
    let n_warnings = Arc::new(AtomicUsize::new(0));
    let mut observer = (TensorBoardObserver::new(&curves), RemoveAfter(4, curves.clone()));
    tracing::subscriber::with_default(Warnings(n_warnings.clone()), || {
        folders.train("without", &config, &examples, &mut observer).unwrap();
    });
    assert_eq!(n_warnings.load(Ordering::Relaxed), 1);
    assert!(folders.weights("without") == folders.weights("whole"));
    // What could be written again is there, from a start of its own.
    assert_eq!(read_events(&only_file(&curves))[1], Read::Start { step: 5 });
    assert_eq!(steps(&shown(&curves)), [5, 6]);
}
