//! Comparison with recordings: what is the same passes, and each changed value is reported.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::path::Path;
use std::sync::Arc;

use eef_agent::verify::{FileCheck, verify};
use eef_agent::{create_model, open_encoder};
use eef_chat::{BpeTraining, ChatTemplate, Encoder, Tokenizer, train_bpe};
use eef_llama::{Generator, GeneratorConfig, Llama, LlamaConfig, Packed, Request, device};
use eef_train::{TrainExample, loss_and_gradients};
use eef_weights::NamedTensor;
use serde_json::{Value, json};

const IDS: [u32; 6] = [3, 9, 4, 4, 20, 11];

fn model(directory: &Path) {
    let json = train_bpe(std::iter::empty(), &BpeTraining::default()).unwrap();
    let tokenizer = Arc::new(Tokenizer::from_bytes(json).unwrap());
    let encoder = Encoder::new(tokenizer, ChatTemplate::compact()).unwrap();
    create_model(directory, &LlamaConfig::tiny(1), &encoder, 1).unwrap();
}

/// Recordings of what the model does itself.
fn record(directory: &Path) -> [(&'static str, Value); 4] {
    let tokenizer = Arc::clone(open_encoder(directory).unwrap().tokenizer());
    let llama = Llama::load(directory, &device("cpu").unwrap()).unwrap();
    let text = "a red mug";
    let tokens = json!([
        {"text": text, "ids": tokenizer.encode(text).unwrap(), "decoded": text},
    ]);

    let vocabulary = llama.config().vocab_size;
    let hidden = llama.forward_hidden(&Packed::new([IDS]).unwrap()).unwrap();
    let logits: Vec<f64> = llama.logits(hidden).into_data().iter::<f64>().collect();
    let (mut ids, mut values, mut next) = (Vec::new(), Vec::new(), Vec::new());
    for (position, row) in logits.chunks_exact(vocabulary).enumerate() {
        let mut order: Vec<usize> = (0..vocabulary).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
        order.truncate(20);
        values.push(order.iter().map(|id| row[*id]).collect::<Vec<_>>());
        ids.push(order);
        let total: f64 = row.iter().map(|logit| logit.exp()).sum();
        if let Some(token) = IDS.get(position + 1) {
            next.push(row[*token as usize] - total.ln());
        }
    }
    let logits =
        json!([{"ids": IDS, "top20_ids": ids, "top20_logits": values, "target_logprob": next}]);

    let mut generator = Generator::new(llama.clone(), GeneratorConfig::default()).unwrap();
    generator.submit(Request::greedy(0, IDS.to_vec(), 5)).unwrap();
    let continued = generator.advance().unwrap().remove(0).tokens;
    let greedy =
        json!([{"prompt_ids": IDS, "greedy_ids": continued, "top1_top2_gap": vec![1.0; 5]}]);

    let example = TrainExample::fully_trained(IDS.to_vec()).unwrap();
    let (loss, gradients) = loss_and_gradients(&llama, &[example]).unwrap();
    let norm = |values: &[f32]| values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let norms: std::collections::BTreeMap<_, _> =
        gradients.tensors().map(|t| (t.name().to_owned(), norm(t.values()))).collect();
    let total = norms.values().map(|norm| norm * norm).sum::<f64>().sqrt();
    let gradients =
        json!({"ids": IDS, "loss": loss, "grad_norm_total": total, "grad_norms": norms});
    [
        ("tokens.json", tokens),
        ("logits_top20.json", logits),
        ("greedy.json", greedy),
        ("sft_grads.json", gradients),
    ]
}

fn compare(directory: &Path, file: &str, value: &Value) -> FileCheck {
    let reference = tempfile::tempdir().unwrap();
    std::fs::write(reference.path().join(file), value.to_string()).unwrap();
    let mut checks = verify(directory, reference.path(), "cpu").unwrap();
    assert_eq!(checks.len(), 1);
    checks.remove(0)
}

#[test]
fn every_changed_value_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    model(directory.path());
    let recordings = record(directory.path());
    let n_cases = [1, IDS.len(), 1, 2 + 2 + 2 * 9];
    for ((file, recording), n_cases) in recordings.iter().zip(n_cases) {
        let check = compare(directory.path(), file, recording);
        assert_eq!((check.mismatches, check.cases), (0, n_cases), "{file}: {check:?}");
    }
    let [tokens, logits, greedy, gradients] = recordings.map(|(_, recording)| recording);
    let number = |value: &Value, by: f64| json!(value.as_f64().unwrap() + by);
    let other = |value: &Value| json!((value.as_u64().unwrap() + 1) % 50);
    type Change<'a> = &'a dyn Fn(&Value) -> Value;
    let flips: [(&str, &Value, &str, Change<'_>); 9] = [
        ("tokens.json", &tokens, "/0/ids/1", &other),
        ("tokens.json", &tokens, "/0/decoded", &|_| json!("a red rug")),
        ("logits_top20.json", &logits, "/0/top20_ids/2/0", &other),
        ("logits_top20.json", &logits, "/0/top20_logits/5/19", &|value| number(value, 0.003)),
        ("logits_top20.json", &logits, "/0/target_logprob/0", &|value| number(value, -0.003)),
        ("greedy.json", &greedy, "/0/greedy_ids/4", &other),
        ("sft_grads.json", &gradients, "/loss", &|value| number(value, 2e-4)),
        ("sft_grads.json", &gradients, "/grad_norm_total", &|value| {
            json!(value.as_f64().unwrap() * 1.002)
        }),
        ("sft_grads.json", &gradients, "/grad_norms/model.norm.weight", &|value| {
            json!(value.as_f64().unwrap() * 0.998)
        }),
    ];
    for (file, recording, place, change) in flips {
        let mut recording = recording.clone();
        let value = recording.pointer_mut(place).unwrap();
        *value = change(value);
        let check = compare(directory.path(), file, &recording);
        assert_eq!(check.mismatches, 1, "{file} {place}: {check:?}");
        assert!(check.worst.is_some(), "{file} {place}");
    }
}

#[test]
fn a_recording_that_leaves_parameters_out_is_no_pass() {
    let directory = tempfile::tempdir().unwrap();
    model(directory.path());
    let [.., (_, mut gradients)] = record(directory.path());
    gradients["grad_norms"].as_object_mut().unwrap().remove("model.norm.weight");
    let check = compare(directory.path(), "sft_grads.json", &gradients);
    assert_eq!(check.mismatches, 1, "{check:?}");
}

#[test]
fn a_near_tie_may_go_the_other_way_and_what_follows_is_compared() {
    let directory = tempfile::tempdir().unwrap();
    model(directory.path());
    let [_, _, (_, mut greedy), _] = record(directory.path());
    // The recorded program chose another second token, and went on from it. The two have the same
    // embedding, which is their output layer too: their logits are equal.
    let mut tokens: Vec<u32> = serde_json::from_value(greedy[0]["greedy_ids"].clone()).unwrap();
    let (chosen, other) = (tokens[1] as usize, (tokens[1] as usize + 1) % 50);
    let llama = Llama::load(directory.path(), &device("cpu").unwrap()).unwrap();
    let tensors: Vec<_> = llama.tensors().map(|tensor| with_row(tensor, chosen, other)).collect();
    let config = llama.config().to_json();
    eef_weights::write_checkpoint(directory.path(), &config, &tensors).unwrap();
    let llama = Llama::load(directory.path(), &device("cpu").unwrap()).unwrap();
    let mut generator = Generator::new(llama, GeneratorConfig::default()).unwrap();
    generator.submit(Request::greedy(0, IDS.to_vec(), 2)).unwrap();
    tokens.splice(..2, generator.advance().unwrap().remove(0).tokens);
    tokens[1] = if tokens[1] == chosen as u32 { other as u32 } else { chosen as u32 };
    let prompt = [&IDS[..], &tokens[..2]].concat();
    generator.submit(Request::greedy(1, prompt, 3)).unwrap();
    tokens.splice(2.., generator.advance().unwrap().remove(0).tokens);
    greedy[0]["greedy_ids"] = json!(tokens);
    assert_eq!(compare(directory.path(), "greedy.json", &greedy).mismatches, 1);
    greedy[0]["top1_top2_gap"][1] = json!(0.004);
    let check = compare(directory.path(), "greedy.json", &greedy);
    assert_eq!((check.mismatches, check.near_ties.len()), (0, 1), "{check:?}");
    assert_eq!((check.near_ties[0].position, check.near_ties[0].expected), (1, tokens[1]));
    greedy[0]["greedy_ids"][4] = json!((tokens[4] + 1) % 50);
    assert_eq!(compare(directory.path(), "greedy.json", &greedy).mismatches, 1);
    // No other token may stand in the near tie's place.
    let far = (0..50).find(|id| *id as usize != chosen && *id as usize != other).unwrap();
    greedy[0]["greedy_ids"] = json!([tokens[0], far, 0, 0, 0]);
    let sharp = compare(directory.path(), "greedy.json", &greedy);
    assert_eq!((sharp.mismatches, sharp.near_ties.len()), (1, 0), "{sharp:?}");
}

/// The tensor, with row `from` copied to row `to` where it is the embedding; all of it larger, so
/// that other tokens are far.
fn with_row(tensor: NamedTensor<'static>, from: usize, to: usize) -> NamedTensor<'static> {
    if tensor.name() != "model.embed_tokens.weight" {
        return tensor;
    }
    let width = tensor.shape()[1];
    let mut values: Vec<f32> = tensor.values().iter().map(|value| value * 30.0).collect();
    values.copy_within(from * width..(from + 1) * width, to * width);
    NamedTensor::new(tensor.name().to_owned(), tensor.shape().to_vec(), values)
}

#[test]
fn recordings_that_say_nothing_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    model(directory.path());
    let reference = tempfile::tempdir().unwrap();
    let error = || verify(directory.path(), reference.path(), "cpu").unwrap_err().to_string();
    assert!(error().contains("it holds no recording: expected tokens.json"));
    let file = reference.path().join("greedy.json");
    for (text, expected) in [
        ("[]", "greedy.json: it has no case to compare"),
        ("[{\"prompt_ids\": [1]}]", "greedy.json: missing field `greedy_ids`"),
        (
            r#"[{"prompt_ids": [1], "greedy_ids": [2], "top1_top2_gap": []}]"#,
            "greedy.json: case 1: expected a prompt, ids, and a gap for each id",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        assert!(error().contains(expected), "{}", error());
    }
}

/// `EEF_SHARED` names a folder with recordings of transformers, `EEF_MODEL` the model that they are
/// of, as `cargo xtask prepare-data model` writes it. Without them this says so and passes, unless
/// `EEF_REQUIRE` asks for `model`.
#[test]
fn a_published_model_does_what_transformers_recorded() {
    let variable = |name| std::env::var_os(name).map(std::path::PathBuf::from);
    let (Some(shared), Some(model)) = (variable("EEF_SHARED"), variable("EEF_MODEL")) else {
        let required = std::env::var("EEF_REQUIRE").unwrap_or_default();
        assert!(!required.contains("model"), "EEF_MODEL is not set, but EEF_REQUIRE asks for it");
        println!("skipped: EEF_SHARED and EEF_MODEL are not set");
        return;
    };
    let checks = verify(&model, &shared.join("reference/llama"), "cpu").unwrap();
    assert_eq!(checks.len(), 4);
    for check in checks {
        assert_eq!(check.mismatches, 0, "{check:?}");
    }
}
