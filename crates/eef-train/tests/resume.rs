//! Interrupted, killed, damaged, out of space: training continues and ends with the same bytes.

#![allow(clippy::unwrap_used, reason = "a failure of set-up is a failure of the test")]

mod common;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{DieAt, Folders, Reports, StopAfter, examples, lines, six_steps};
use eef_train::{TrainConfig, TrainError};

#[test]
fn interrupted_at_any_step_it_ends_with_the_same_bytes() {
    let folders = Folders::new();
    let (config, examples) = (six_steps(), examples(11));
    let whole = folders.train("whole", &config, &examples, &mut ()).unwrap();
    let expected = folders.weights("whole");
    for n_steps in 1..6 {
        let name = format!("stopped-{n_steps}");
        let error = folders.train(&name, &config, &examples, &mut StopAfter(n_steps)).unwrap_err();
        assert!(matches!(error, TrainError::Interrupted { step, n_steps: 6 } if step == n_steps));
        assert!(!folders.output(&name).exists());
        let mut reports = Reports::default();
        let summary = folders.train(&name, &config, &examples, &mut reports).unwrap();
        assert_eq!(reports.0.first().unwrap().step, n_steps + 1);
        assert_eq!(summary, whole);
        assert!(folders.weights(&name) == expected, "stopped after step {n_steps}");
        let steps: Vec<u64> = lines(&folders.scratch(&name).join("metrics.jsonl"))
            .iter()
            .map(|line| line["step"].as_u64().unwrap())
            .collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn interrupted_after_every_step_it_ends_with_the_same_bytes() {
    let folders = Folders::new();
    let (config, examples) = (six_steps(), examples(11));
    folders.train("whole", &config, &examples, &mut ()).unwrap();
    let mut n_interruptions = 0;
    while let Err(error) = folders.train("stopped", &config, &examples, &mut StopAfter(1)) {
        assert!(matches!(error, TrainError::Interrupted { .. }), "{error}");
        n_interruptions += 1;
    }
    assert_eq!(n_interruptions, 5);
    assert!(folders.weights("stopped") == folders.weights("whole"));
}

#[test]
fn killed_at_any_step_it_ends_with_the_same_bytes() {
    let folders = Folders::new();
    let (config, examples) = (six_steps(), examples(11));
    let whole = folders.train("whole", &config, &examples, &mut ()).unwrap();
    for step in 1..=6 {
        let name = format!("killed-{step}");
        let died = catch_unwind(AssertUnwindSafe(|| {
            folders.train(&name, &config, &examples, &mut DieAt(step))
        }));
        assert!(died.is_err());
        let summary = folders.train(&name, &config, &examples, &mut ()).unwrap();
        assert_eq!(summary, whole);
        assert!(folders.weights(&name) == folders.weights("whole"), "killed at step {step}");
    }
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let folders = Folders::new();
    let (config, examples) = (six_steps(), examples(11));
    folders.train("whole", &config, &examples, &mut ()).unwrap();
    folders.train("damaged", &config, &examples, &mut StopAfter(5)).unwrap_err();
    let checkpoints = folders.scratch("damaged").join("checkpoints");
    let newest = checkpoints.join("step-000000005.checkpoint");
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let mut reports = Reports::default();
    folders.train("damaged", &config, &examples, &mut reports).unwrap();
    assert_eq!(reports.0[0].step, 5, "continued from step 4");
    assert!(folders.weights("damaged") == folders.weights("whole"));
}

#[test]
fn threads_and_checkpoint_intervals_may_change_on_resume_and_nothing_else() {
    let folders = Folders::new();
    let (config, examples) = (six_steps(), examples(11));
    folders.train("whole", &config, &examples, &mut ()).unwrap();
    folders.train("other", &config, &examples, &mut StopAfter(3)).unwrap_err();
    let changed = TrainConfig { learning_rate: 1e-3, ..config.clone() };
    let error = folders.train("other", &changed, &examples, &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Foreign { .. }), "{error}");
    let error = folders.train("other", &config, &examples[..10], &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Foreign { .. }), "{error}");
    let config = TrainConfig { n_workers: 2, checkpoint_every_steps: 0, ..config };
    folders.train("other", &config, &examples, &mut ()).unwrap();
    assert!(folders.weights("other") == folders.weights("whole"));
}

#[test]
fn a_finished_training_is_not_repeated_and_not_overwritten() {
    let folders = Folders::new();
    let (config, examples) = (six_steps(), examples(11));
    let first = folders.train("once", &config, &examples, &mut ()).unwrap();
    assert!(folders.output("once").join("tokenizer.json").exists());
    assert!(!folders.scratch("once").join("checkpoints").exists());
    let mut reports = Reports::default();
    let again = folders.train("once", &config, &examples, &mut reports).unwrap();
    assert_eq!(again, first);
    assert!(reports.0.is_empty());
    // Killed after it wrote the output and before it cleared its checkpoints.
    folders.train("killed", &config, &examples, &mut StopAfter(5)).unwrap_err();
    let checkpoints = folders.scratch("once").join("checkpoints");
    fs::rename(folders.scratch("killed").join("checkpoints"), &checkpoints).unwrap();
    assert_eq!(folders.train("once", &config, &examples, &mut ()).unwrap(), first);
    assert!(!checkpoints.exists());
    let changed = TrainConfig { seed: 1, ..config };
    let error = folders.train("once", &changed, &examples, &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Foreign { .. }), "{error}");
}

/// `/dev/full` takes a file's place: writing to it fails as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_with_a_path_and_loses_nothing() {
    let folders = Folders::new();
    let (config, examples) = (six_steps(), examples(11));
    folders.train("whole", &config, &examples, &mut ()).unwrap();
    let checkpoints = folders.scratch("full").join("checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    let places = [checkpoints.join("step-000000002.tmp"), checkpoints.join("step-000000004.tmp")];
    for place in &places {
        std::os::unix::fs::symlink("/dev/full", place).unwrap();
        let error = folders.train("full", &config, &examples, &mut ()).unwrap_err();
        let TrainError::Io { path, source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{error}");
        assert_eq!(path, place);
        assert!(fs::symlink_metadata(place).is_err(), "the space is given back");
    }
    folders.train("full", &config, &examples, &mut ()).unwrap();
    assert!(folders.weights("full") == folders.weights("whole"));
}
