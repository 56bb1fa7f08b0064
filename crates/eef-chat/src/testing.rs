//! A tokenizer and a trajectory for this crate's tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use eef_core::{
    Action, Author, EpisodeEnd, Observation, Origin, Outcome, Reward, Split, Step, TaskId,
    Trajectory, TrajectoryId,
};
use serde_json::{Value, json};

use crate::{BpeTraining, ChatTemplate, Encoder, Tokenizer, train_bpe};

/// Texts of the corridor and of a shop.
pub(crate) const TEXTS: &[&str] = &[
    "take room 3",
    "room 0",
    "right left take taken right right right left take",
    "you can say right, left or take",
    "search[{\"product\": \"cotton modern lamp\"}] click[{\"button\": \"Buy Now\"}]",
    "B0ABCD0123 Brand Cotton Modern Lamp $14.99",
];

/// A tokenizer trained on [`TEXTS`].
pub(crate) fn tiny_tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let config = BpeTraining {
            vocabulary_size: 320,
            added_tokens: vec!["search[".to_owned()],
            ..BpeTraining::default()
        };
        let bytes = train_bpe(TEXTS.iter().map(|text| (*text).to_owned()), &config).unwrap();
        Tokenizer::from_bytes(bytes).unwrap()
    })
}

/// [`tiny_tokenizer`] with the compact template.
pub(crate) fn tiny_encoder() -> &'static Encoder {
    static ENCODER: OnceLock<Encoder> = OnceLock::new();
    ENCODER.get_or_init(|| {
        let tokenizer = Tokenizer::from_bytes(tiny_tokenizer().as_bytes()).unwrap();
        Encoder::new(Arc::new(tokenizer), ChatTemplate::compact()).unwrap()
    })
}

/// A trajectory with these replies, which see rooms 0, 1, 2, ….
pub(crate) fn trajectory(replies: &[&str]) -> Trajectory {
    let steps = replies.iter().enumerate().map(|(index, reply)| Step {
        reply: (*reply).to_owned(),
        action: Action::new(*reply),
        observation: Observation::new(format!("room {}", index + 1)),
        author: Author::Policy,
        sampled: None,
    });
    Trajectory {
        id: TrajectoryId::derive(&[b"test"]),
        task: TaskId::new("corridor", Split::Train, 3),
        instruction: "take room 3".to_owned(),
        first_observation: Observation::new("room 0"),
        steps: steps.collect(),
        origin: Origin::Rollout { round: 1, sample: 0, parent: None },
        outcome: Outcome { end: EpisodeEnd::Terminated, reward: Reward::ONE },
    }
}

/// A `tokenizer.json` with a few characters, words with `▁` or `Ġ` for a space before them, and the
/// control tokens of the templates `mistral` and `compact`.
pub(crate) fn sentence_piece(normalizer: &Value, pre_tokenizer: &Value) -> Vec<u8> {
    let control = ["<unk>", "<s>", "</s>", "<|assistant|>", "<|end|>"];
    let merges = [["h", "i"], ["▁", "hi"], ["Ġ", "hi"], ["m", "u"], ["▁", "mu"], ["Ġ", "mu"]];
    let letters: BTreeSet<char> = "▁Ġ[INST]/himugsearch<>|_".chars().collect();
    let tokens = control
        .into_iter()
        .map(str::to_owned)
        .chain(letters.into_iter().map(String::from))
        .chain(merges.map(|pair| pair.concat()));
    let vocabulary: BTreeMap<String, usize> = tokens.enumerate().map(|(id, t)| (t, id)).collect();
    let added_tokens = control.map(|content| {
        json!({
            "id": vocabulary[content], "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true,
        })
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added_tokens,
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": null,
        "decoder": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": false,
            "vocab": vocabulary, "merges": merges,
        },
    });
    serde_json::to_vec(&tokenizer).unwrap()
}
