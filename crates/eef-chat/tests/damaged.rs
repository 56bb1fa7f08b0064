//! Damaged tokenizers and templates: no panic, one clear error, and memory in proportion to the file.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

#[path = "../../eef-weights/tests/support/mod.rs"]
mod support;

use std::cell::Cell;
use std::sync::{Arc, Once, OnceLock};

use eef_chat::{BpeTraining, ChatTemplate, Encoder, Tokenizer, train_bpe};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{ALLOWANCE, changes, damaged, measured};

/// What the tokenizers crate may take for each byte of a file: it keeps every token three times, in
/// maps, and a parsed copy of the file while it reads.
const FACTOR: usize = 64;

/// Beyond that: a pattern's automaton, which its engine limits to 10 MiB.
const PATTERN: usize = 10 << 20;

/// A small tokenizer of our own.
fn byte_pairs() -> Value {
    static JSON: OnceLock<Value> = OnceLock::new();
    let train = || {
        let texts = ["a red mug", "a blue mug", "red and blue mugs"];
        let bytes =
            train_bpe(texts.map(str::to_owned).into_iter(), &BpeTraining::default()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    JSON.get_or_init(train).clone()
}

/// As converted from SentencePiece: bytes as tokens, spaces as a letter, merges by text.
fn sentence_pieces() -> Value {
    let mut vocabulary = serde_json::Map::new();
    for token in ["<unk>", "<s>", "</s>"] {
        vocabulary.insert(token.to_owned(), vocabulary.len().into());
    }
    for byte in 0..=255 {
        vocabulary.insert(format!("<0x{byte:02X}>"), vocabulary.len().into());
    }
    for token in ["\u{2581}", "r", "e", "d", "re", "red", "\u{2581}red"] {
        vocabulary.insert(token.to_owned(), vocabulary.len().into());
    }
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u{2581}"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"}
        ]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}
        ]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false, "vocab": vocabulary,
            "merges": ["r e", "re d", "\u{2581} red"]}
    })
}

/// Values that a field should not have.
fn strange() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(0)),
        Just(json!(-1)),
        Just(json!(u32::MAX)),
        Just(json!(u64::MAX)),
        Just(json!(1e308)),
        Just(json!("")),
        Just(json!("\u{2581}")),
        Just(json!("(((a*)*)*)*$")),
        Just(json!([])),
        Just(json!([["a", "b"], ["red", "red"]])),
        Just(json!({})),
        Just(json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true})),
        Just(json!({"type": "Precompiled", "precompiled_charsmap": "////AAAA"})),
        Just(json!({"type": "Metaspace", "replacement": "ab", "prepend_scheme": "first"})),
        Just(
            json!({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false})
        ),
        Just(
            json!({"type": "Unigram", "unk_id": 70, "vocab": [["a", -1.0]], "byte_fallback": true})
        ),
        Just(json!({"type": "WordLevel", "vocab": {"a": 4_294_967_295_u32}, "unk_token": "b"})),
        Just(json!(true)),
    ]
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Lets panics that are caught inside pass without a word: a backtrace takes more memory than
/// anything that is measured here.
fn quietly<T>(call: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                usual(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let result = call();
    IS_QUIET.set(false);
    result
}

/// Puts a value somewhere into a JSON value; each number chooses a child.
fn put(json: &mut Value, path: &[usize], value: Value) {
    let Some((step, rest)) = path.split_first() else {
        *json = value;
        return;
    };
    match json {
        Value::Object(object) if !object.is_empty() => {
            let n = object.len();
            if let Some((_, child)) = object.iter_mut().nth(step % n) {
                put(child, rest, value);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let n = items.len();
            put(&mut items[step % n], rest, value);
        }
        other => *other = value,
    }
}

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (parsed, most) = quietly(|| measured(|| Tokenizer::from_bytes(bytes)));
    let allowed = FACTOR * bytes.len() + PATTERN + ALLOWANCE;
    prop_assert!(most <= allowed, "{} bytes for {}", most, bytes.len());
    match parsed {
        Err(error) => {
            let message = error.to_string();
            prop_assert!(message.contains("the given text"), "{}", message);
        }
        Ok(tokenizer) => {
            for text in ["a red mug", "", "\u{2581}red \u{1f34e}", "</s><s>"] {
                let decoded = quietly(|| {
                    tokenizer.encode(text)?;
                    tokenizer.decode(&tokenizer.encode_with_special(text)?)
                });
                prop_assert!(decoded.is_ok() || !decoded.unwrap_err().to_string().is_empty());
            }
            let decoded = quietly(|| tokenizer.decode(&[0, 1, 258, 5, u32::MAX]));
            prop_assert!(decoded.is_ok() || !decoded.unwrap_err().to_string().is_empty());
            let tokenizer = Arc::new(tokenizer);
            if let Err(error) = quietly(|| Encoder::new(tokenizer, ChatTemplate::compact())) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn strange_tokenizers_are_refused(
        is_converted: bool,
        places in prop::collection::vec(
            (prop::collection::vec(any::<usize>(), 1..5), strange()), 1..3),
    ) {
        let mut json = if is_converted { sentence_pieces() } else { byte_pairs() };
        for (path, value) in places {
            put(&mut json, &path, value);
        }
        check(json.to_string().as_bytes())?;
    }

    #[test]
    fn damaged_tokenizers_are_refused(is_converted: bool, changes in changes()) {
        let json = if is_converted { sentence_pieces() } else { byte_pairs() }.to_string();
        check(&damaged(json.as_bytes(), json.len(), &changes))?;
    }
}

#[test]
fn both_are_read_where_nothing_is_wrong() {
    for json in [byte_pairs(), sentence_pieces()] {
        let tokenizer = Tokenizer::from_bytes(json.to_string()).unwrap();
        let ids = tokenizer.encode("red").unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap(), "red");
    }
    // A key that is named twice hides nothing.
    let map = r#"{"normalizer": {"type": "Precompiled", "precompiled_charsmap": "////AAAA"},"#;
    let json = byte_pairs().to_string().replacen('{', map, 1);
    let (parsed, most) = quietly(|| measured(|| Tokenizer::from_bytes(json.clone())));
    assert!(most < FACTOR * json.len() + ALLOWANCE, "{most}");
    assert!(parsed.is_ok(), "the last one counts");
    let error = Tokenizer::from_bytes("[".repeat(100_000)).unwrap_err().to_string();
    assert!(error.contains("the given text"), "{error}");
}
