//! Losses and gradients of tiny checkpoints beside those of transformers: the references lie with
//! `eef-llama`, whose tests say how they are made.

use std::collections::BTreeMap;
use std::path::Path;

use eef_llama::{Llama, device};
use eef_train::{TrainExample, loss_and_gradients};
use serde_json::Value;

#[test]
fn losses_and_gradients_are_those_of_transformers() {
    for name in ["llama3", "mistral-window", "untied-bf16-shards"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../eef-llama/tests/transformers")
            .join(name);
        let expected = std::fs::read(directory.join("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
        let norms: BTreeMap<String, f64> =
            serde_json::from_value(expected["gradient_norms"].clone()).unwrap();

        let model = Llama::load(&directory, &device("cpu").unwrap().autodiff()).unwrap();
        let example = TrainExample::fully_trained(ids).unwrap();
        let (loss, gradients) = loss_and_gradients(&model, &[example]).unwrap();
        let difference = (loss - expected["loss"].as_f64().unwrap()).abs();
        assert!(difference < 1e-5, "{name}: the loss is {difference} off");
        let mut n_compared = 0;
        for tensor in gradients.tensors() {
            let squares = tensor.values().iter().map(|value| f64::from(*value).powi(2));
            let (found, expected) = (squares.sum::<f64>().sqrt(), norms[tensor.name()]);
            let relative = (found - expected).abs() / expected;
            assert!(relative < 1e-4, "{name}: {} is {found}, not {expected}", tensor.name());
            n_compared += 1;
        }
        assert_eq!(n_compared, norms.len());
    }
}
