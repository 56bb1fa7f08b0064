//! Chat templates write what transformers writes for them: see `reference.py`.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::fs;

use eef_chat::{ChatError, ChatMessage, JinjaTemplate};
use serde_json::{Value, json};

const REFERENCE: &str = include_str!("fixtures/rendered.json");

/// The template from a model's directory, as users have it.
fn open(name: &str, source: &Value) -> JinjaTemplate {
    let directory = std::env::temp_dir().join(format!("eef-chat-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let config = json!({
        "bos_token": "<s>", "eos_token": {"content": "</s>"},
        "chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": source}],
    });
    fs::write(directory.join("tokenizer_config.json"), config.to_string()).unwrap();
    let template = JinjaTemplate::of_model(&directory).unwrap().unwrap();
    fs::remove_dir_all(directory).unwrap();
    template
}

#[test]
fn every_text_is_what_transformers_writes() {
    let reference: Value = serde_json::from_str(REFERENCE).unwrap();
    let sources = reference["templates"].as_object().unwrap();
    let templates: BTreeMap<&str, JinjaTemplate> =
        sources.iter().map(|(name, source)| (name.as_str(), open(name, source))).collect();
    let (mut n_rendered, mut n_refused) = (0, 0);
    for case in reference["cases"].as_array().unwrap() {
        let name = case["template"].as_str().unwrap();
        let text = |message: &Value, field: &str| message[field].as_str().unwrap().to_owned();
        let messages: Vec<ChatMessage> = case["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| ChatMessage::new(text(message, "role"), text(message, "content")))
            .collect();
        let found = templates[name].render(&messages, case["prompt"].as_bool().unwrap());
        if let Some(expected) = case["text"].as_str() {
            assert_eq!(found.unwrap(), expected, "{name}: {messages:?}");
            n_rendered += 1;
        } else {
            assert!(matches!(found, Err(ChatError::Jinja { .. })), "{name}: {found:?}");
            n_refused += 1;
        }
    }
    assert!(n_rendered > 100 && n_refused > 10, "{n_rendered} rendered, {n_refused} refused");
}
