//! Tiny checkpoints that transformers wrote, and what it computes with them: see
//! `transformers/make.py`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use eef_llama::{Generator, GeneratorConfig, Llama, Packed, Request, device};
use serde_json::Value;

const MODELS: [&str; 3] = ["llama3", "mistral-window", "untied-bf16-shards"];

fn open(name: &str) -> (Llama, Value) {
    let directory: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transformers").join(name);
    let expected = std::fs::read(directory.join("expected.json")).unwrap();
    let model = Llama::load(&directory, &device("cpu").unwrap()).unwrap();
    (model, serde_json::from_slice(&expected).unwrap())
}

fn ids(expected: &Value, key: &str) -> Vec<u32> {
    serde_json::from_value(expected[key].clone()).unwrap()
}

/// The largest distance of two rows of logits.
fn distance(found: &[f32], expected: &[Vec<f32>]) -> f32 {
    let expected = expected.concat();
    assert_eq!(found.len(), expected.len());
    assert!(found.len() > 1_000);
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_are_those_of_transformers() {
    for name in MODELS {
        let (model, expected) = open(name);
        let rows: Vec<Vec<f32>> = serde_json::from_value(expected["logits"].clone()).unwrap();
        let mut ids = ids(&expected, "ids");
        let logits = |ids: &[u32]| -> Vec<f32> {
            let hidden = model.forward_hidden(&Packed::new([ids]).unwrap()).unwrap();
            model.logits(hidden).into_data().iter::<f32>().collect()
        };
        let found = distance(&logits(&ids), &rows);
        assert!(found < 2e-5, "{name}: logits are up to {found} off");
        // Another text is told apart.
        ids[0] += 1;
        assert!(distance(&logits(&ids), &rows) > 1e-2, "{name}");
    }
}

#[test]
fn continuations_are_those_of_transformers() {
    for name in MODELS {
        let (model, expected) = open(name);
        let greedy = ids(&expected, "greedy");
        // A prompt in pieces goes through the cache otherwise than a whole one.
        for prefill_tokens in [512, 4] {
            let config = GeneratorConfig { prefill_tokens, ..GeneratorConfig::default() };
            let mut generator = Generator::new(model.clone(), config).unwrap();
            let request = Request::greedy(0, ids(&expected, "ids"), greedy.len());
            generator.submit(request).unwrap();
            assert_eq!(generator.advance().unwrap()[0].tokens, greedy, "{name}");
        }
    }
}
