//! Twenty steps beside torch's: `torch/make.py` says how its figures came about.

#![allow(clippy::unwrap_used, reason = "a failure of set-up is a failure of the test")]

mod common;

use std::path::{Path, PathBuf};

use common::Reports;
use eef_llama::device;
use eef_train::{
    Order, PreferenceConfig, PreferencePair, Schedule, StepReport, TrainConfig, TrainExample,
    TrainPaths, Trainer,
};
use eef_weights::Checkpoint;
use serde::Deserialize;
use serde_json::Value;

/// What torch did.
#[derive(Clone, Deserialize)]
struct Expected {
    settings: Settings,
    units: Vec<Value>,
    steps: Vec<Step>,
}

#[derive(Clone, Deserialize)]
struct Settings {
    checkpoint: String,
    n_epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    schedule: Schedule,
    warmup_fraction: f64,
    max_gradient_norm: f64,
    beta: Option<f64>,
    adamw: eef_train::AdamWConfig,
}

#[derive(Clone, Deserialize)]
struct Step {
    loss: f64,
    learning_rate: f64,
    gradient_norm: f64,
    accuracy: Option<f64>,
    chosen_reward: Option<f64>,
    rejected_reward: Option<f64>,
}

#[derive(Deserialize)]
struct Sequence {
    tokens: Vec<u32>,
    trained: Vec<bool>,
}

impl Sequence {
    fn example(value: &Value) -> TrainExample {
        let sequence: Self = serde_json::from_value(value.clone()).unwrap();
        TrainExample::new(sequence.tokens, sequence.trained).unwrap()
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch").join(name)
}

fn expected(name: &str) -> Expected {
    let text = std::fs::read(folder(name).join("expected.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

type Change = fn(&mut TrainConfig);

/// The same training here.
fn train(expected: &Expected, change: Change, output: &Path) -> Vec<StepReport> {
    let settings = &expected.settings;
    let mut config = TrainConfig {
        n_epochs: settings.n_epochs,
        batch_size: settings.batch_size,
        learning_rate: settings.learning_rate,
        schedule: settings.schedule,
        warmup_fraction: settings.warmup_fraction,
        max_gradient_norm: settings.max_gradient_norm,
        adamw: settings.adamw,
        order: Order::AsGiven,
        ..TrainConfig::default()
    };
    change(&mut config);
    let init = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../eef-llama/tests/transformers")
        .join(&settings.checkpoint);
    let scratch = output.with_extension("scratch");
    let paths = TrainPaths { init: &init, output, scratch: &scratch };
    let trainer = Trainer::new(config, device("cpu").unwrap()).unwrap();
    let mut reports = Reports::default();
    if let Some(beta) = settings.beta {
        let pair = |unit: &Value| PreferencePair {
            chosen: Sequence::example(&unit["chosen"]),
            rejected: Sequence::example(&unit["rejected"]),
        };
        let pairs: Vec<_> = expected.units.iter().map(pair).collect();
        let preference = PreferenceConfig { beta };
        trainer.run_preferences(&paths, &pairs, preference, &mut reports).unwrap();
    } else {
        let examples: Vec<_> = expected.units.iter().map(Sequence::example).collect();
        trainer.run(&paths, &examples, &mut reports).unwrap();
    }
    reports.0
}

/// What differs by more than is allowed: 1e-4 of losses, norms and rewards.
fn differences(expected: &[Step], found: &[StepReport]) -> Vec<String> {
    let mut differences = Vec::new();
    if expected.is_empty() || expected.len() != found.len() {
        differences.push(format!("{} steps here, {} there", found.len(), expected.len()));
    }
    for (expected, found) in expected.iter().zip(found) {
        let mut compare = |what: &str, here: f64, there: f64, smallest: f64| {
            if (here - there).abs() > 1e-4 * there.abs().max(smallest) {
                differences.push(format!("step {}: {what} {here}, {there}", found.step));
            }
        };
        let preference = found.preference.unwrap_or_default();
        let there = |value: Option<f64>| value.unwrap_or(0.0);
        compare("learning rate", found.learning_rate, expected.learning_rate, 0.0);
        // Rewards begin at nothing, and the loss of pairs may end there.
        compare("loss", found.loss, expected.loss, 0.1);
        compare("gradient norm", found.gradient_norm, expected.gradient_norm, 0.1);
        compare("accuracy", preference.accuracy, there(expected.accuracy), 0.1);
        compare("chosen", preference.chosen_reward, there(expected.chosen_reward), 0.1);
        compare("rejected", preference.rejected_reward, there(expected.rejected_reward), 0.1);
    }
    differences
}

/// The largest difference of any weight, and how many were compared.
fn largest_difference(one: &Path, other: &Path) -> (f32, usize) {
    let [one, other] = [one, other].map(|path| Checkpoint::open(path).unwrap());
    assert_eq!(one.names().count(), other.names().count());
    let (mut largest, mut n) = (0.0_f32, 0);
    for name in other.names() {
        let shape = other.shape(name).unwrap().to_vec();
        let (here, there) = (one.read(name, &shape).unwrap(), other.read(name, &shape).unwrap());
        let pairs = here.iter().zip(&there);
        largest = pairs.fold(largest, |largest, (here, there)| largest.max((here - there).abs()));
        n += there.len();
    }
    (largest, n)
}

#[test]
fn twenty_steps_are_those_of_torch() {
    let root = tempfile::tempdir().unwrap();
    let changes: [(&str, Change); 3] = [
        ("whole steps", |config| config.micro_batch_tokens = 10_000),
        ("one by one", |config| config.micro_batch_tokens = 1),
        ("layer by layer", |config| config.checkpoint_layers = true),
    ];
    for name in ["masked", "masked-window", "preferences", "preferences-window"] {
        let expected = expected(name);
        assert_eq!(expected.steps.len(), 20);
        for (how, change) in changes {
            let output = root.path().join(format!("{name}-{how}"));
            let reports = train(&expected, change, &output);
            let differences = differences(&expected.steps, &reports);
            assert!(differences.is_empty(), "{name}, {how}: {differences:#?}");
            let (largest, n) = largest_difference(&output, &folder(name));
            assert!(n > 15_000 && largest < 1e-4, "{name}, {how}: {n} weights, {largest}");
            let (moved, _) = largest_difference(&output, &init(&expected));
            assert!(moved > 1e-3, "{name}, {how}: nothing was trained");
        }
    }
}

fn init(expected: &Expected) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../eef-llama/tests/transformers");
    models.join(&expected.settings.checkpoint)
}

#[test]
fn a_changed_figure_is_reported() {
    let root = tempfile::tempdir().unwrap();
    let expected = expected("preferences");
    let reports = train(&expected, |_| {}, &root.path().join("output"));
    assert!(differences(&expected.steps, &reports).is_empty());
    let changes: [fn(&mut Step); 6] = [
        |step| step.loss *= 1.001,
        |step| step.learning_rate *= 1.001,
        |step| step.gradient_norm *= 1.001,
        |step| step.accuracy = step.accuracy.map(|share| share - 0.5),
        |step| step.chosen_reward = Some(0.5),
        |step| step.rejected_reward = Some(0.5),
    ];
    for change in changes {
        let mut steps = expected.steps.clone();
        change(&mut steps[11]);
        assert_eq!(differences(&steps, &reports).len(), 1);
    }
    assert!(differences(&expected.steps[1..], &reports[..19]).len() > 19);
    assert!(!differences(&[], &[]).is_empty());
}
