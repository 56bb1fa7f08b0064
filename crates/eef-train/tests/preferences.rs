//! Preference training resumes as any other does, and computes its reference once.

#![allow(clippy::unwrap_used, reason = "a failure of set-up is a failure of the test")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{DieAt, Folders, Reports, StopAfter, examples, six_steps};
use eef_llama::device;
use eef_train::{
    PreferenceConfig, PreferencePair, TrainError, TrainObserver, TrainPaths, TrainSummary, Trainer,
};

fn pairs(n: usize) -> Vec<PreferencePair> {
    let examples = examples(2 * n);
    let both = examples.chunks_exact(2);
    both.map(|both| PreferencePair { chosen: both[0].clone(), rejected: both[1].clone() }).collect()
}

fn train(
    folders: &Folders,
    name: &str,
    beta: f64,
    observer: &mut dyn TrainObserver,
) -> Result<TrainSummary, TrainError> {
    let paths = TrainPaths {
        init: &folders.init(),
        output: &folders.output(name),
        scratch: &folders.scratch(name),
    };
    let trainer = Trainer::new(six_steps(), device("cpu").unwrap()).unwrap();
    trainer.run_preferences(&paths, &pairs(9), PreferenceConfig { beta }, observer)
}

/// Counts the pairs that were scored.
#[derive(Default)]
struct Scored(usize);

impl TrainObserver for Scored {
    fn scored(&mut self, n_done: usize, n_pairs: usize) {
        assert_eq!(n_pairs, 9);
        self.0 = n_done;
    }
}

#[test]
fn a_killed_training_ends_with_the_bytes_of_an_uninterrupted_one() {
    let folders = Folders::new();
    let whole = train(&folders, "whole", 0.1, &mut ()).unwrap();
    assert_eq!(whole.n_steps, 6);
    for step in 1..6 {
        let name = format!("killed-{step}");
        let mut killed = DieAt(step);
        catch_unwind(AssertUnwindSafe(|| train(&folders, &name, 0.1, &mut killed))).unwrap_err();
        let mut resumed = (Scored::default(), Reports::default());
        let summary = train(&folders, &name, 0.1, &mut resumed).unwrap();
        assert_eq!(resumed.0.0, 0, "what the model at the start says is known");
        assert!(resumed.1.0.iter().all(|report| report.preference.is_some()));
        assert_eq!(summary, whole);
        assert!(folders.weights(&name) == folders.weights("whole"), "killed at step {step}");
        let left: Vec<_> = std::fs::read_dir(folders.scratch(&name)).unwrap().collect();
        assert!(left.iter().all(|entry| entry.as_ref().unwrap().file_name() != "reference.bin"));
    }
}

#[test]
fn a_damaged_reference_is_computed_again() {
    let folders = Folders::new();
    train(&folders, "whole", 0.1, &mut ()).unwrap();
    let error = train(&folders, "stopped", 0.1, &mut StopAfter(3)).unwrap_err();
    assert!(matches!(error, TrainError::Interrupted { step: 3, n_steps: 6 }), "{error}");
    let path = folders.scratch("stopped").join("reference.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut scored = Scored::default();
    train(&folders, "stopped", 0.1, &mut scored).unwrap();
    assert_eq!(scored.0, 9);
    assert!(folders.weights("stopped") == folders.weights("whole"));
}

#[test]
fn another_beta_is_another_training() {
    let folders = Folders::new();
    train(&folders, "one", 0.1, &mut ()).unwrap();
    let error = train(&folders, "one", 0.2, &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Foreign { .. }), "{error}");
    let error = train(&folders, "none", f64::NAN, &mut ()).unwrap_err();
    assert!(error.to_string().contains("preference.beta"), "{error}");
}
