//! A tokenizer and a trajectory for this crate's tests.

use std::sync::{Arc, OnceLock};

use eef_core::{
    Action, Author, EpisodeEnd, Observation, Origin, Outcome, Reward, Split, Step, TaskId,
    Trajectory, TrajectoryId,
};

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
