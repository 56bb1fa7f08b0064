//! Training sets as other programs read them: conversations with a mark at every message that is
//! trained, so that a fine-tuning elsewhere has the masks of ours.

use eef_core::{Role, Trajectory};
use serde_json::{Map, Value, json};

use crate::{Prompt, messages_of};

/// How a program wants conversations, and the mark of what is trained.
///
/// The marks are per message. What a program counts as part of a trained message beside its text (the
/// end of turn) is its own setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatFormat {
    /// `messages` with `weight` 0 or 1 at the assistant's, as in OpenAI's fine-tuning; what
    /// [`Sample`](crate::Sample) reads.
    Messages,
    /// `conversations` of `human` and `gpt`, with `weight` 0 or 1 at the latter (ShareGPT).
    ShareGpt,
    /// `messages` with `train` at each, for axolotl's `chat_template` data sets with
    /// `message_field_training: train`.
    Axolotl,
    /// `messages` with `masked` at each, as torchtune's `Message` has it: true is context.
    Torchtune,
}

impl ChatFormat {
    /// Every format with its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("messages", Self::Messages),
        ("sharegpt", Self::ShareGpt),
        ("axolotl", Self::Axolotl),
        ("torchtune", Self::Torchtune),
    ];

    /// A trajectory of which actions `train_from..` are trained, as one object; the observation after
    /// the last action is left out, as in training here.
    pub fn record(
        self,
        trajectory: &Trajectory,
        train_from: usize,
        prompt: impl Into<Prompt>,
    ) -> Value {
        let mut n_replies = 0;
        let messages: Vec<Value> = messages_of(trajectory, prompt)
            .into_iter()
            .map(|message| {
                let is_reply = message.role == Role::Assistant;
                let is_trained = is_reply && n_replies >= train_from;
                n_replies += usize::from(is_reply);
                self.message(is_reply, message.text, is_trained)
            })
            .collect();
        let key = if self == Self::ShareGpt { "conversations" } else { "messages" };
        json!({ key: messages })
    }

    fn message(self, is_reply: bool, text: String, is_trained: bool) -> Value {
        let (who, said, names) = match self {
            Self::ShareGpt => ("from", "value", ["human", "gpt"]),
            _ => ("role", "content", ["user", "assistant"]),
        };
        let mut message = Map::new();
        message.insert(who.to_owned(), names[usize::from(is_reply)].into());
        message.insert(said.to_owned(), text.into());
        let mark = match self {
            Self::Messages | Self::ShareGpt if !is_reply => None,
            Self::Messages | Self::ShareGpt => Some(("weight", Value::from(u8::from(is_trained)))),
            Self::Axolotl => Some(("train", is_trained.into())),
            Self::Torchtune => Some(("masked", (!is_trained).into())),
        };
        message.extend(mark.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(message)
    }
}

impl std::str::FromStr for ChatFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, format)| format).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            format!("unknown format `{name}`: expected {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PromptTemplate;
    use crate::testing::{tiny_encoder, trajectory};
    use crate::{Example, Sample};

    fn record(format: ChatFormat, train_from: usize) -> Value {
        format.record(&trajectory(&["right", "take"]), train_from, PromptTemplate::Short)
    }

    #[test]
    fn each_format_marks_what_is_trained() {
        let first = "take room 3\nroom 0";
        let expected = [
            json!({"messages": [
                {"role": "user", "content": first},
                {"role": "assistant", "content": "right", "weight": 0},
                {"role": "user", "content": "room 1"},
                {"role": "assistant", "content": "take", "weight": 1},
            ]}),
            json!({"conversations": [
                {"from": "human", "value": first},
                {"from": "gpt", "value": "right", "weight": 0},
                {"from": "human", "value": "room 1"},
                {"from": "gpt", "value": "take", "weight": 1},
            ]}),
            json!({"messages": [
                {"role": "user", "content": first, "train": false},
                {"role": "assistant", "content": "right", "train": false},
                {"role": "user", "content": "room 1", "train": false},
                {"role": "assistant", "content": "take", "train": true},
            ]}),
            json!({"messages": [
                {"role": "user", "content": first, "masked": true},
                {"role": "assistant", "content": "right", "masked": true},
                {"role": "user", "content": "room 1", "masked": true},
                {"role": "assistant", "content": "take", "masked": false},
            ]}),
        ];
        for ((name, format), expected) in ChatFormat::ALL.into_iter().zip(expected) {
            assert_eq!(record(format, 1), expected, "{name}");
            assert_eq!(name.parse(), Ok(format));
        }
        assert!("alpaca".parse::<ChatFormat>().unwrap_err().contains("sharegpt"));
    }

    #[test]
    fn what_is_written_comes_back_with_the_same_ids_and_mask() {
        let trajectory = trajectory(&["right", "left", "right", "take"]);
        for train_from in 0..4 {
            let line = ChatFormat::Messages.record(&trajectory, train_from, PromptTemplate::Short);
            let Sample::Chat(chat) = Sample::parse(&line.to_string()).unwrap() else {
                panic!("not a chat")
            };
            let expected = Example::of_trajectory(
                tiny_encoder(),
                &trajectory,
                train_from,
                PromptTemplate::Short,
                1_000,
            );
            assert_eq!(chat.example(tiny_encoder()).unwrap(), expected.unwrap());
        }
    }
}
