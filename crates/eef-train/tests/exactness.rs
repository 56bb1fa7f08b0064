//! The loss and the gradients are the ones that are written down, however a step is cut.

#![allow(clippy::unwrap_used, reason = "a failure of set-up is a failure of the test")]

mod common;

use common::{Folders, Reports, examples, six_steps};
use eef_llama::{Llama, Packed, device};
use eef_train::{Schedule, TrainConfig, TrainExample, TrainPaths, Trainer};

/// One step over everything with a constant learning rate.
fn one_step() -> TrainConfig {
    TrainConfig {
        n_epochs: 1,
        batch_size: 64,
        schedule: Schedule::Constant,
        warmup_fraction: 0.0,
        n_workers: 1,
        ..six_steps()
    }
}

/// Mean negative log-likelihood of the trained tokens, in f64, from the model's own logits.
fn loss_by_hand(model: &Llama, examples: &[TrainExample]) -> f64 {
    let (mut sum, mut n_trained) = (0.0, 0);
    for example in examples {
        let packed = Packed::new([example.token_ids()]).unwrap();
        let logits = model.logits(model.forward_hidden(&packed).unwrap());
        let [_, vocabulary] = logits.dims();
        let logits: Vec<f64> = logits.into_data().iter::<f64>().collect();
        for position in 1..example.n_tokens() {
            if example.trained()[position] {
                let row = &logits[(position - 1) * vocabulary..position * vocabulary];
                let partition: f64 = row.iter().map(|logit| logit.exp()).sum();
                sum += partition.ln() - row[example.token_ids()[position] as usize];
                n_trained += 1;
            }
        }
    }
    assert!(n_trained > 20, "the comparison needs trained tokens");
    sum / f64::from(n_trained)
}

#[test]
fn the_loss_is_one_mean_over_the_trained_tokens_of_a_step() {
    let folders = Folders::new();
    let examples = examples(9);
    let model = Llama::load(&folders.init(), &device("cpu").unwrap()).unwrap();
    let expected = loss_by_hand(&model, &examples);
    for micro_batch_tokens in [1, 40, 10_000] {
        let config = TrainConfig { micro_batch_tokens, ..one_step() };
        let mut reports = Reports::default();
        let name = format!("micro-{micro_batch_tokens}");
        folders.train(&name, &config, &examples, &mut reports).unwrap();
        let loss = reports.0[0].loss;
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    }
}

#[test]
fn eight_times_one_equals_one_times_eight() {
    let folders = Folders::new();
    let examples = examples(8);
    let norm = |micro_batch_tokens: usize| {
        // AdamW's first step has the size of the learning rate whatever the gradient's: the norm
        // before clipping compares the gradients themselves.
        let config = TrainConfig { micro_batch_tokens, ..one_step() };
        let mut reports = Reports::default();
        let name = format!("{micro_batch_tokens}");
        folders.train(&name, &config, &examples, &mut reports).unwrap();
        (reports.0[0].gradient_norm, weights(&folders, &name))
    };
    let (one_by_one, weights_one_by_one) = norm(1);
    let (together, weights_together) = norm(10_000);
    assert!((one_by_one - together).abs() < 1e-6 * together, "{one_by_one} {together}");
    let differences = weights_one_by_one.iter().zip(&weights_together).map(|(a, b)| (a - b).abs());
    let (n, largest) = differences.fold((0, 0.0_f32), |(n, most), d| (n + 1, most.max(d)));
    assert!(n > 3_000 && largest < 1e-4, "{n} weights differ by up to {largest}");
}

#[test]
fn tokens_after_the_last_trained_one_and_flags_of_the_first_change_nothing() {
    let folders = Folders::new();
    let tokens = vec![1, 5, 9, 2, 7, 3];
    let train = |name: &str, tokens: &[u32], trained: [bool; 6]| {
        let example = TrainExample::new(tokens.to_vec(), trained.to_vec()).unwrap();
        folders.train(name, &one_step(), &[example], &mut ()).unwrap();
        folders.weights(name)
    };
    let mask = [false, false, true, true, false, false];
    let plain = train("plain", &tokens, mask);
    let flagged = train("flagged", &tokens, [true, false, true, true, false, false]);
    assert!(plain == flagged, "the first token is never predicted");
    let other_end = train("end", &[1, 5, 9, 2, 4, 4], mask);
    // The embeddings of other tokens get no gradient either: bytes are equal.
    assert!(plain == other_end, "untrained tokens at the end have no effect");
    let other_mask = train("mask", &tokens, [false, false, true, false, false, false]);
    assert!(plain != other_mask);
}

#[test]
fn threads_change_no_byte() {
    let folders = Folders::new();
    let examples = examples(11);
    for n_workers in [1, 2, 5] {
        let config = TrainConfig { n_workers, ..six_steps() };
        folders.train(&n_workers.to_string(), &config, &examples, &mut ()).unwrap();
    }
    assert!(folders.weights("1") == folders.weights("2"));
    assert!(folders.weights("1") == folders.weights("5"));
}

#[test]
fn devices_of_one_kind_change_no_byte() {
    let folders = Folders::new();
    let examples = examples(11);
    folders.train("one", &six_steps(), &examples, &mut ()).unwrap();
    let cpu = || device("cpu").unwrap();
    let trainer = Trainer::on_devices(six_steps(), vec![cpu(), cpu(), cpu()]).unwrap();
    let paths = TrainPaths {
        init: &folders.init(),
        output: &folders.output("three"),
        scratch: &folders.scratch("three"),
    };
    trainer.run(&paths, &examples, &mut ()).unwrap();
    assert!(folders.weights("one") == folders.weights("three"));
    assert!(Trainer::on_devices(six_steps(), Vec::new()).is_err());
}

#[test]
fn a_few_examples_are_learnt_by_heart() {
    let folders = Folders::new();
    let examples = examples(4);
    let config = TrainConfig { n_epochs: 150, learning_rate: 2e-2, ..six_steps() };
    let mut reports = Reports::default();
    let summary = folders.train("overfit", &config, &examples, &mut reports).unwrap();
    assert_eq!(summary.n_steps, 150);
    assert_eq!(summary.epoch_losses.len(), 150);
    assert!(summary.epoch_losses[0] > 2.5, "{:?}", summary.epoch_losses);
    assert!(summary.epoch_losses[149] < 0.1, "{:?}", summary.epoch_losses);
    let n_tokens: usize = examples.iter().map(TrainExample::n_tokens).sum();
    assert_eq!(summary.n_tokens, 150 * n_tokens as u64);
    assert_eq!(reports.0[5].learning_rate, 2e-2, "the warm-up of 5 steps is over");
    assert!(reports.0.iter().all(|report| report.updated));
}

fn weights(folders: &Folders, name: &str) -> Vec<f32> {
    let checkpoint = eef_weights::Checkpoint::open(&folders.output(name)).unwrap();
    let names: Vec<String> = checkpoint.names().map(str::to_owned).collect();
    let mut all = Vec::new();
    for name in names {
        let shape = checkpoint.shape(&name).unwrap().to_vec();
        all.extend(checkpoint.read(&name, &shape).unwrap());
    }
    all
}
