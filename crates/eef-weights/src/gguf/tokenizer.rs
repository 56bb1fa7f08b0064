//! A GGUF file's tokenizer in the form of Hugging Face's `tokenizers`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Gguf, GgufValue};
use crate::WeightsError;

/// What stands before each word in vocabularies made by SentencePiece.
const WORD: &str = "\u{2581}";

/// How LLaMA 3 cuts a text before merging. Source: its `tokenizer.json`.
const LLAMA3_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Kinds of tokens in `tokenizer.ggml.token_type`.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// The files that a tokenizer becomes.
pub(super) struct Files {
    /// `tokenizer.json`
    pub(super) tokenizer: Value,
    /// `tokenizer_config.json`
    pub(super) config: Value,
    /// `chat_template.jinja`
    pub(super) chat_template: Option<String>,
}

pub(super) fn files(gguf: &Gguf) -> Result<Files, WeightsError> {
    let text = |key: &str| gguf.optional(key, |value| value.as_text().map(str::to_owned));
    let list = |key: &str| gguf.texts(key).ok_or_else(|| gguf.lacks(key));
    let tokens = list("tokenizer.ggml.tokens")?;
    let kinds = gguf.numbers("tokenizer.ggml.token_type").unwrap_or_default();
    let kind = |id: usize| kinds.get(id).map_or(1, |kind| *kind as i64);
    let mut vocabulary: BTreeMap<&str, usize> = BTreeMap::new();
    for (id, token) in tokens.iter().enumerate() {
        if vocabulary.insert(token, id).is_some() {
            return Err(gguf.refuse(format!("the token `{token}` is there twice")));
        }
    }
    let model = text("tokenizer.ggml.model")?.ok_or_else(|| gguf.lacks("tokenizer.ggml.model"))?;
    let mut tokenizer = match model.as_str() {
        "gpt2" => {
            let pre = text("tokenizer.ggml.pre")?.unwrap_or_else(|| "default".to_owned());
            byte_level(gguf, &pre, &list("tokenizer.ggml.merges")?)?
        }
        "llama" => {
            let scores = gguf.numbers("tokenizer.ggml.scores");
            let scores = scores.filter(|scores| scores.len() == tokens.len());
            let scores = scores.ok_or_else(|| gguf.lacks("tokenizer.ggml.scores, one a token"))?;
            let unknown = (0..tokens.len()).find(|id| kind(*id) == UNKNOWN);
            let has_prefix =
                gguf.optional("tokenizer.ggml.add_space_prefix", GgufValue::as_bool)?;
            let merges = merges_of(&vocabulary, &scores);
            let unknown = unknown.map(|id| tokens[id]);
            sentence_piece(&merges, unknown, has_prefix.unwrap_or(true))
        }
        other => {
            let reason =
                format!("its tokenizer is of the kind `{other}`; gpt2 and llama are known");
            return Err(gguf.refuse(reason));
        }
    };
    let ids = vocabulary.iter().map(|(token, id)| ((*token).to_owned(), Value::from(*id)));
    tokenizer["model"]["vocab"] = Value::Object(ids.collect());
    let added = tokens
        .iter()
        .enumerate()
        .filter(|(id, _)| matches!(kind(*id), UNKNOWN | CONTROL | USER_DEFINED));
    let added = added.map(|(id, token)| {
        json!({
            "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": kind(id) != USER_DEFINED,
        })
    });
    tokenizer["added_tokens"] = added.collect();

    let mut config = Map::new();
    for (name, key) in [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")] {
        let id = format!("tokenizer.ggml.{key}_token_id");
        if let Some(id) = gguf.optional(&id, GgufValue::as_count)? {
            let token = tokens.get(id).ok_or_else(|| {
                gguf.refuse(format!("its {key} token has the id {id}, of {} tokens", tokens.len()))
            })?;
            config.insert(format!("{name}_token"), (*token).into());
        }
    }
    let adds_begin = gguf.optional("tokenizer.ggml.add_bos_token", GgufValue::as_bool)?;
    let adds_begin = adds_begin.unwrap_or(model == "llama");
    config.insert("add_bos_token".to_owned(), adds_begin.into());
    if let Some(begin) = config.get("bos_token").and_then(Value::as_str).filter(|_| adds_begin) {
        // transformers reads this and not the flag.
        let id = vocabulary.get(begin).copied().unwrap_or_default();
        tokenizer["post_processor"] = begins_with(begin, id);
    }
    config.insert("add_eos_token".to_owned(), false.into());
    config.insert("clean_up_tokenization_spaces".to_owned(), false.into());
    config.insert("tokenizer_class".to_owned(), "PreTrainedTokenizerFast".into());
    let chat_template = text("tokenizer.chat_template")?;
    if let Some(template) = &chat_template {
        config.insert("chat_template".to_owned(), template.as_str().into());
    }
    Ok(Files { tokenizer, config: Value::Object(config), chat_template })
}

/// Puts a token before every text, where a caller asks for special tokens.
fn begins_with(token: &str, id: usize) -> Value {
    let special = |type_id: usize| json!({"SpecialToken": {"id": token, "type_id": type_id}});
    let text = |id: &str, type_id: usize| json!({"Sequence": {"id": id, "type_id": type_id}});
    json!({
        "type": "TemplateProcessing",
        "single": [special(0), text("A", 0)],
        "pair": [special(0), text("A", 0), special(1), text("B", 1)],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    })
}

/// A tokenizer over bytes, as GPT-2's.
fn byte_level(gguf: &Gguf, pre: &str, merges: &[&str]) -> Result<Value, WeightsError> {
    let bytes = |use_regex: bool| {
        json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": use_regex,
        })
    };
    let split_first = |first: Value, use_regex: bool| json!({"type": "Sequence", "pretokenizers": [first, bytes(use_regex)]});
    let (pre_tokenizer, ignores_merges) = match pre {
        "gpt-2" | "gpt2" | "default" => (bytes(true), false),
        "smollm" => {
            (split_first(json!({"type": "Digits", "individual_digits": true}), true), false)
        }
        "llama-bpe" | "llama3" | "llama-v3" => {
            let split = json!({
                "type": "Split", "pattern": {"Regex": LLAMA3_PATTERN}, "behavior": "Isolated",
                "invert": false,
            });
            (split_first(split, false), true)
        }
        other => {
            let reason = format!(
                "its tokenizer cuts texts as `{other}` does; gpt-2, smollm and llama-bpe are known"
            );
            return Err(gguf.refuse(reason));
        }
    };
    let pairs = merges.iter().map(|merge| {
        let pair = merge.split_once(' ');
        let (left, right) =
            pair.ok_or_else(|| gguf.refuse(format!("the merge `{merge}` is of no two parts")))?;
        Ok(json!([left, right]))
    });
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": bytes(true),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": ignores_merges,
            "merges": pairs.collect::<Result<Vec<Value>, WeightsError>>()?,
        },
    }))
}

/// A tokenizer over characters with bytes for those it does not know, as SentencePiece's.
fn sentence_piece(merges: &[(&str, &str)], unknown: Option<&str>, has_prefix: bool) -> Value {
    let replace = |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
    let mut normalizers = Vec::new();
    let mut decoders =
        vec![replace(WORD, " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    if has_prefix {
        normalizers.push(json!({"type": "Prepend", "prepend": WORD}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    normalizers.push(replace(" ", WORD));
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false, "merges": merges,
        },
    })
}

/// The merges that a vocabulary with scores stands for: every way to make a token of two others,
/// tokens of higher scores first, and among equals as transformers orders them (its
/// `generate_merges`): longer parts first, then higher ids.
fn merges_of<'a>(vocabulary: &BTreeMap<&'a str, usize>, scores: &[f64]) -> Vec<(&'a str, &'a str)> {
    let mut merges = Vec::new();
    // In the order of ids, which decides between equals.
    let mut tokens: Vec<_> = vocabulary.iter().map(|(token, id)| (*id, *token)).collect();
    tokens.sort_unstable();
    for (id, token) in tokens {
        let mut ways: Vec<_> = token
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| {
                let (left, right) = token.split_at(at);
                Some((*vocabulary.get(left)?, *vocabulary.get(right)?, left, right))
            })
            .collect();
        ways.sort_by_key(|way| std::cmp::Reverse((way.0, way.1)));
        merges.extend(ways.into_iter().map(|(_, _, left, right)| (scores[id], left, right)));
    }
    let n_chars = |text: &str| text.chars().count();
    merges.sort_by(|(a, left_a, right_a), (b, left_b, right_b)| {
        b.total_cmp(a)
            .then_with(|| n_chars(left_b).cmp(&n_chars(left_a)))
            .then_with(|| n_chars(right_b).cmp(&n_chars(right_a)))
    });
    merges.into_iter().map(|(_, left, right)| (left, right)).collect()
}
