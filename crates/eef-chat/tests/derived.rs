//! A model directory's own template becomes the growing sequence, or is refused with a way out.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use eef_chat::{
    BpeTraining, ChatError, ChatTemplate, Encoder, JinjaTemplate, Tokenizer, train_bpe,
};
use eef_core::Message;
use proptest::prelude::*;
use serde_json::{Value, json};

const REFERENCE: &str = include_str!("fixtures/rendered.json");

fn source(name: &str) -> String {
    let reference: Value = serde_json::from_str(REFERENCE).unwrap();
    reference["templates"][name].as_str().unwrap().to_owned()
}

/// A byte-level tokenizer with every family's control tokens.
fn tokenizer() -> Tokenizer {
    let control = [
        "<s>",
        "</s>",
        "<|im_start|>",
        "<|im_end|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|user|>",
        "<|assistant|>",
    ];
    let config = BpeTraining {
        vocabulary_size: 320,
        special_tokens: control.map(str::to_owned).to_vec(),
        ..BpeTraining::default()
    };
    let texts = ["find a mug", "search"].map(str::to_owned);
    Tokenizer::from_bytes(train_bpe(texts.into_iter(), &config).unwrap()).unwrap()
}

/// An empty directory of this process.
fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("eef-chat-derived-{}-{name}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

fn of_model(name: &str, template: &str) -> Result<ChatTemplate, ChatError> {
    let directory = directory(name);
    let config =
        json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": "{{ 'not this one' }}"});
    fs::write(directory.join("tokenizer_config.json"), config.to_string()).unwrap();
    fs::write(directory.join("chat_template.jinja"), template).unwrap();
    let found = ChatTemplate::of_model(&directory, &tokenizer());
    fs::remove_dir_all(directory).unwrap();
    found
}

#[test]
fn families_become_growing_sequences() {
    let chatml = of_model("chatml", &source("chatml")).unwrap();
    assert_eq!(chatml.name, "jinja");
    assert_eq!(chatml.begin, "<|im_start|>system\nYou are helpful.<|im_end|>");
    assert_eq!(chatml.user_prefix, "\n<|im_start|>user\n");
    let llama3 = of_model("llama3", &source("llama3")).unwrap();
    let preset = ChatTemplate::llama3();
    assert!(llama3.begin.starts_with("<s><|start_header_id|>system<|end_header_id|>\n\nToday: 26"));
    assert_eq!(llama3.user_prefix, preset.user_prefix);
    assert_eq!(llama3.reply_prefix, preset.reply_prefix);
    let mistral = of_model("mistral", &source("mistral-0.2")).unwrap();
    assert_eq!(ChatTemplate { name: "mistral".to_owned(), ..mistral }, ChatTemplate::mistral());
    // It refuses a system message.
    assert_eq!(ChatTemplate::mistral().system, None);
    let zephyr = of_model("zephyr", &source("zephyr")).unwrap();
    assert_eq!([&*zephyr.user_prefix, &zephyr.user_suffix], ["<|user|>\n", "</s>\n"]);
    assert_eq!([&*zephyr.reply_end, &zephyr.reply_gap], ["</s>", "\n"]);
    // A system message in place of the template's own.
    let around = |template: &ChatTemplate| {
        template.system.clone().map(|system| [system.prefix, system.suffix])
    };
    let texts = |prefix: &str, suffix: &str| Some([prefix.to_owned(), suffix.to_owned()]);
    assert_eq!(around(&chatml), texts("<|im_start|>system\n", "<|im_end|>"));
    let [prefix, suffix] = around(&llama3).unwrap_or_default();
    assert!(prefix.contains("Today: 26") && prefix.ends_with("\n\n"), "{prefix:?}");
    assert_eq!(suffix, "<|eot_id|>");
    // Its tokenizer here knows no `<|system|>`, which would be spelt in characters.
    assert_eq!(around(&zephyr), None);
    for template in [chatml, llama3, zephyr] {
        Encoder::new(Arc::new(tokenizer()), template).unwrap();
    }
}

#[test]
fn what_does_not_only_grow_is_refused() {
    let thoughts = source("mistral-0.2")
        .replace("{{ m.content + eos_token", "{{ m.content.split('</think>')[-1] + eos_token");
    let error = of_model("thoughts", &thoughts).unwrap_err();
    assert!(matches!(error, ChatError::InexpressibleTemplate { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("chat_template.jinja") && text.contains("eef_chat.json"), "{text}");
}

/// LLaMA 2 and Mistral 0.3 write a space before a reply in the history, and not in the prompt: the
/// model's own first token.
#[test]
fn a_replys_own_space_is_the_models_to_write() {
    for (name, around) in [("llama2", [" ", " "]), ("mistral-0.3", [" ", ""])] {
        let template = of_model(name, &source(name)).unwrap();
        assert_eq!([&*template.reply_text_prefix, &template.reply_text_suffix], around, "{name}");
        assert_eq!(template.said(" click[b1]"), "click[b1]");
        assert_eq!(template.said("click[b1]"), "click[b1]");
        let encoder = Encoder::new(Arc::new(tokenizer()), template).unwrap();
        let mut conversation = encoder.start();
        encoder.push(&mut conversation, &Message::user("a mug")).unwrap();
        encoder.push(&mut conversation, &Message::assistant("buy", None)).unwrap();
        let reply = &conversation.token_ids()[conversation.replies()[0].clone()];
        let written = encoder.tokenizer().decode(reply).unwrap();
        assert_eq!(written, format!("{}buy{}</s>", around[0], around[1]), "{name}");
    }
    let wrong = ChatTemplate { reply_text_prefix: "so:".to_owned(), ..ChatTemplate::mistral() };
    let error = Encoder::new(Arc::new(tokenizer()), wrong).unwrap_err();
    assert!(matches!(error, ChatError::ReplyText { .. }), "{error}");
}

#[test]
fn a_control_token_that_is_none_is_refused() {
    let source = source("chatml").replace("im_start", "im_begin");
    let error = of_model("control", &source).unwrap_err();
    assert!(matches!(error, ChatError::UnknownControlToken { .. }), "{error}");
}

#[test]
fn an_endless_template_ends_and_a_clock_is_refused() {
    let inner = "{% for c in range(9999) %}{% endfor %}";
    let endless = format!("{{% for a in range(9999) %}}{inner}{{% endfor %}}");
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(50_000), ")".repeat(50_000));
    let recursive = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned();
    let clock = "{{ strftime_now('%d') }}".to_owned();
    for (name, source) in [("a", endless), ("b", deep), ("c", recursive), ("d", clock)] {
        let error = of_model(name, &source).unwrap_err();
        assert!(matches!(error, ChatError::Jinja { .. }), "{name}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever a template or its config is damaged, there is a template or an error.
    #[test]
    fn damaged_files_give_errors(
        which in 0..5_usize, place in 0.0..1.0_f64, length in 0..8_usize, put in "[{}%()|'a-z\\[\\]]{0,4}",
    ) {
        let names = ["chatml", "llama2", "llama3", "zephyr", "python"];
        let config = json!({"chat_template": source(names[which])}).to_string();
        for (is_config, text) in [(true, config), (false, source(names[which]))] {
            let mut characters: Vec<char> = text.chars().collect();
            let start = (place * characters.len() as f64) as usize;
            let end = (start + length).min(characters.len());
            characters.splice(start..end, put.chars());
            let damaged: String = characters.into_iter().collect();
            let directory = directory("damaged");
            let file = if is_config { "tokenizer_config.json" } else { "chat_template.jinja" };
            let path = directory.join(file);
            fs::write(&path, damaged).unwrap();
            let found = JinjaTemplate::of_model(&directory);
            fs::remove_dir_all(&directory).unwrap();
            if let Err(error) = found {
                prop_assert!(error.to_string().contains(file), "{error}");
            } else if let Ok(Some(template)) = found {
                let message = eef_chat::ChatMessage::new("user", "hi");
                if let Err(error) = template.render(&[message], true) {
                    prop_assert!(error.to_string().contains(file), "{error}");
                }
            }
        }
    }
}
