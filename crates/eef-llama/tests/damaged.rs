//! Damaged configurations: no panic, one clear error, and no more memory than the text and 1 MiB.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

#[path = "../../eef-weights/tests/support/mod.rs"]
mod support;

use std::path::Path;

use eef_llama::{Llama, LlamaConfig, device};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{ALLOWANCE, changes, damaged, measured};

/// Shaped as LLaMA 3.1 writes it.
fn llama() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 64,
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "hidden_act": "silu",
        "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": true,
        "bos_token_id": 1, "eos_token_id": [2, 3],
        "rope_scaling": {
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64, "rope_type": "llama3"
        }
    })
}

/// Shaped as newer files of Mistral's are.
fn mistral() -> Value {
    json!({
        "model_type": "mistral", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "sliding_window": 16,
        "rope_parameters": { "rope_theta": 10000.0, "rope_type": "default" }, "pad_token_id": null
    })
}

/// Values that a field should not have.
fn strange() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(0)),
        Just(json!(-1)),
        Just(json!(1.5)),
        Just(json!(u64::MAX)),
        Just(json!(1e308)),
        Just(json!(1_u64 << 29)),
        Just(json!("llama3")),
        Just(json!([])),
        Just(json!([4_294_967_296_u64, "a"])),
        Just(json!({})),
        Just(json!({"rope_type": "llama3"})),
        Just(json!(true)),
    ]
}

/// Puts a value at a field, or into the object that is there.
fn put(config: &mut Value, field: usize, value: Value) {
    let Some(object) = config.as_object_mut() else { return };
    let n = object.len();
    if let Some((_, there)) = object.iter_mut().nth(field % n.max(1)) {
        if there.is_object() && !field.is_multiple_of(3) {
            put(there, field / n, value);
        } else {
            *there = value;
        }
    }
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let path = Path::new("some/config.json");
    let (parsed, most) = measured(|| LlamaConfig::from_json(path, text));
    prop_assert!(most <= text.len() + ALLOWANCE, "{} bytes for {}", most, text.len());
    match parsed {
        Err(error) => {
            let message = error.to_string();
            prop_assert!(message.starts_with("some/config.json: "), "{}", message);
        }
        Ok(config) => {
            let (counted, most) = measured(|| {
                let counts = config.eos_token_ids().len() + config.sliding_window().unwrap_or(0);
                (config.n_parameters(), counts, config.to_json().len())
            });
            prop_assert!(counted.0 > 0);
            prop_assert!(most <= 4 * text.len() + ALLOWANCE, "{} bytes", most);
            if config.max_position_embeddings <= 1 << 12 {
                let directory = tempfile::tempdir().unwrap();
                let intact = LlamaConfig::from_json(path, &llama().to_string()).unwrap();
                let model = Llama::init(&intact, 1, &device("cpu").unwrap()).unwrap();
                model.save(directory.path()).unwrap();
                std::fs::write(directory.path().join("config.json"), text).unwrap();
                if let Err(error) = Llama::load(directory.path(), &device("cpu").unwrap()) {
                    let message = error.to_string();
                    let name = directory.path().display().to_string();
                    prop_assert!(message.contains(&name), "{}", message);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn strange_fields_are_named(
        is_mistral: bool,
        fields in prop::collection::vec((any::<usize>(), strange()), 0..3),
    ) {
        let mut config = if is_mistral { mistral() } else { llama() };
        for (field, value) in fields {
            put(&mut config, field, value);
        }
        check(&config.to_string())?;
    }

    #[test]
    fn damaged_texts_are_refused(is_mistral: bool, changes in changes()) {
        let config = if is_mistral { mistral() } else { llama() }.to_string();
        let bytes = damaged(config.as_bytes(), config.len(), &changes);
        check(&String::from_utf8_lossy(&bytes))?;
    }
}

#[test]
fn both_are_read_where_nothing_is_wrong() {
    for config in [llama(), mistral()] {
        let parsed = LlamaConfig::from_json(Path::new("config.json"), &config.to_string());
        assert!(parsed.unwrap().n_parameters() > 10_000);
    }
    let nested = "[".repeat(100_000);
    let error = LlamaConfig::from_json(Path::new("config.json"), &nested).unwrap_err();
    assert!(error.to_string().contains("config.json: "));
}
