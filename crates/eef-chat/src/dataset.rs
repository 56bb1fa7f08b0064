//! Files of conversations to fine-tune on: one JSON object a line.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use eef_core::Message;
use serde::Deserialize;

use crate::{ChatError, Encoder, Example, LossMask};

/// A conversation, and which of its replies are trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Chat {
    /// What the agent is told before anybody speaks.
    system: Option<String>,
    messages: Vec<Message>,
    /// For every reply, in order.
    trained: Vec<bool>,
}

/// One line of a file: what to imitate, or which of two to prefer.
///
/// - `{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}`, the
///   chat format of OpenAI's fine-tuning: every reply is trained but those with `"weight": 0`. The
///   first message may be of the role `system`.
/// - `{"messages": […], "chosen": […], "rejected": […]}`, as TRL's preference data sets have it
///   (there `prompt`, which is taken too): two ways on after the messages, of which all replies are
///   trained; a plain text is one reply. The messages are context.
///
/// ```
/// use eef_chat::Sample;
///
/// let line = r#"{"messages": [{"role": "user", "content": "2 + 2?"}], "chosen": "4", "rejected": "5"}"#;
/// assert!(matches!(Sample::parse(line)?, Sample::Preference { .. }));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// To imitate.
    Chat(Chat),
    /// To prefer one of.
    Preference {
        /// The better one.
        chosen: Chat,
        /// The other.
        rejected: Chat,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(alias = "prompt")]
    messages: Vec<Said>,
    chosen: Option<Continuation>,
    rejected: Option<Continuation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    role: String,
    content: String,
    weight: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Continuation {
    Text(String),
    Messages(Vec<Said>),
}

impl Sample {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, and what was expected; the caller knows which line it is.
    pub fn parse(line: &str) -> Result<Self, String> {
        let Line { messages, chosen, rejected } = serde_json::from_str(line).map_err(|error| {
            format!(
                "{error}; expected {{\"messages\": [{{\"role\": \"user\", \"content\": \"…\"}}, …]}}, \
                 with \"chosen\" and \"rejected\" where one of two is to be preferred"
            )
        })?;
        match (chosen, rejected) {
            (None, None) => {
                let chat = Chat::of(messages, 0)?;
                if !chat.trained.contains(&true) {
                    return Err("no reply is trained: expected a message of the assistant whose \
                                weight is not 0"
                        .to_owned());
                }
                Ok(Self::Chat(chat))
            }
            (Some(chosen), Some(rejected)) => {
                let [chosen, rejected] =
                    [chosen, rejected].map(|continuation| Chat::continued(&messages, continuation));
                Ok(Self::Preference { chosen: chosen?, rejected: rejected? })
            }
            (Some(_), None) => Err("\"chosen\" without \"rejected\"".to_owned()),
            (None, Some(_)) => Err("\"rejected\" without \"chosen\"".to_owned()),
        }
    }

    /// Reads a file, line by line, each with its number from 1; empty lines are skipped.
    ///
    /// # Errors
    /// [`ChatError::Io`], and [`ChatError::Sample`] naming the line.
    pub fn read_all(path: &Path) -> Result<Vec<(usize, Self)>, ChatError> {
        let io = |source| ChatError::Io { doing: "read", path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(io)?;
        let mut samples = Vec::new();
        for (number, line) in (1..).zip(std::io::BufReader::new(file).lines()) {
            let line = line.map_err(io)?;
            if !line.trim().is_empty() {
                let sample = Self::parse(&line).map_err(|message| ChatError::Sample {
                    path: PathBuf::from(path),
                    line: number,
                    message,
                })?;
                samples.push((number, sample));
            }
        }
        Ok(samples)
    }
}

impl Chat {
    /// Messages of which the first `n_context` carry no loss whatever their weights.
    fn of(messages: Vec<Said>, n_context: usize) -> Result<Self, String> {
        let mut chat = Self {
            system: None,
            messages: Vec::with_capacity(messages.len()),
            trained: Vec::new(),
        };
        for (number, Said { role, content, weight }) in messages.into_iter().enumerate() {
            match (role.as_str(), weight) {
                ("user", _) => chat.messages.push(Message::user(content)),
                ("assistant", None | Some(0.0 | 1.0)) => {
                    chat.messages.push(Message::assistant(content, None));
                    chat.trained.push(number >= n_context && weight != Some(0.0));
                }
                ("assistant", Some(weight)) => {
                    return Err(format!("message {number}: weight {weight}; expected 0 or 1"));
                }
                ("system", _) if number == 0 => chat.system = Some(content),
                ("system", _) => {
                    return Err(format!(
                        "message {number} is of the role system: expected that of the first \
                         message alone"
                    ));
                }
                (role, _) => {
                    return Err(format!(
                        "message {number} is of the role `{role}`; expected system, user or \
                         assistant"
                    ));
                }
            }
        }
        Ok(chat)
    }

    fn continued(context: &[Said], continuation: Continuation) -> Result<Self, String> {
        let again = |said: &Said| Said {
            role: said.role.clone(),
            content: said.content.clone(),
            weight: said.weight,
        };
        let mut messages: Vec<Said> = context.iter().map(again).collect();
        match continuation {
            Continuation::Text(content) => {
                messages.push(Said { role: "assistant".to_owned(), content, weight: None });
            }
            Continuation::Messages(more) => messages.extend(more),
        }
        let chat = Self::of(messages, context.len())?;
        if !chat.trained.contains(&true) {
            return Err("chosen and rejected must each hold a reply of the assistant".to_owned());
        }
        Ok(chat)
    }

    /// Token ids and mask; a reply's end-of-turn token belongs to it. What follows the last reply is
    /// left out: nothing is predicted from it.
    ///
    /// # Errors
    /// [`ChatError`] where messages do not follow each other as the template wants, it has no place for
    /// a system message, or a text cannot be encoded.
    pub fn example(&self, encoder: &Encoder) -> Result<Example, ChatError> {
        let mut conversation = match &self.system {
            Some(text) => encoder.start_with_system(text)?,
            None => encoder.start(),
        };
        let last = self.messages.iter().rposition(|said| said.role == eef_core::Role::Assistant);
        for message in &self.messages[..last.map_or(0, |last| last + 1)] {
            encoder.push(&mut conversation, message)?;
        }
        let mut trained = vec![false; conversation.len()];
        for (reply, is_trained) in conversation.replies().iter().zip(&self.trained) {
            trained[reply.clone()].fill(*is_trained);
        }
        let loss_mask = LossMask::new(trained)?;
        Ok(Example { token_ids: conversation.token_ids().to_vec(), loss_mask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tiny_encoder;
    use crate::{ChatTemplate, SystemParts};

    fn rendered(chat: &Chat) -> String {
        let encoder = tiny_encoder();
        chat.example(encoder).unwrap().render(encoder.tokenizer()).unwrap()
    }

    #[test]
    fn replies_are_trained_but_those_without_weight() {
        let line = r#"{"messages": [
            {"role": "user", "content": "room 0"}, {"role": "assistant", "content": "left", "weight": 0},
            {"role": "user", "content": "room 1"}, {"role": "assistant", "content": "take"},
            {"role": "user", "content": "room 2"}]}"#;
        let Sample::Chat(chat) = Sample::parse(line).unwrap() else { panic!("not a chat") };
        let expected = "room 0<|assistant|>left<|end|>room 1<|assistant|>⟦take<|end|>⟧";
        assert_eq!(rendered(&chat), expected);
    }

    #[test]
    fn of_a_preference_the_ways_on_are_trained() {
        for key in ["messages", "prompt"] {
            let line = format!(
                r#"{{"{key}": [{{"role": "user", "content": "room 0"}}], "chosen": "take",
                "rejected": [{{"role": "assistant", "content": "left"}},
                    {{"role": "user", "content": "room 1"}},
                    {{"role": "assistant", "content": "right"}}]}}"#
            );
            let Sample::Preference { chosen, rejected } = Sample::parse(&line).unwrap() else {
                panic!("not a preference")
            };
            assert_eq!(rendered(&chosen), "room 0<|assistant|>⟦take<|end|>⟧");
            let expected = "room 0<|assistant|>⟦left<|end|>⟧room 1<|assistant|>⟦right<|end|>⟧";
            assert_eq!(rendered(&rejected), expected);
        }
    }

    #[test]
    fn a_system_message_comes_first_where_the_template_has_a_place_for_it() {
        let line = r#"{"messages": [{"role": "system", "content": "room 9"},
            {"role": "user", "content": "room 0"}, {"role": "assistant", "content": "take"}]}"#;
        let Sample::Chat(chat) = Sample::parse(line).unwrap() else { panic!("not a chat") };
        let error = chat.example(tiny_encoder()).unwrap_err().to_string();
        assert!(error.contains("template `compact` has no place for a system message"), "{error}");
        let parts =
            SystemParts { prefix: "<|assistant|>".to_owned(), suffix: "<|end|>".to_owned() };
        let template = ChatTemplate { system: Some(parts), ..ChatTemplate::compact() };
        let encoder = Encoder::new(tiny_encoder().tokenizer().clone(), template).unwrap();
        let example = chat.example(&encoder).unwrap();
        let expected = "<|assistant|>room 9<|end|>room 0<|assistant|>⟦take<|end|>⟧";
        assert_eq!(example.render(encoder.tokenizer()).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let user = r#"{"role": "user", "content": "a"}"#;
        let cases = [
            ("{".to_owned(), "expected {\"messages\""),
            (format!(r#"{{"messages": [{user}]}}"#), "no reply is trained"),
            (format!(r#"{{"messages": [{user}], "chosen": "b"}}"#), "without \"rejected\""),
            (
                format!(r#"{{"messages": [{user}, {{"role": "system", "content": "a"}}]}}"#),
                "message 1 is of the role system: expected that of the first",
            ),
            (r#"{"messages": [{"role": "tool", "content": "a"}]}"#.to_owned(), "`tool`"),
            (
                r#"{"messages": [{"role": "assistant", "content": "a", "weight": 0.5}]}"#
                    .to_owned(),
                "weight 0.5; expected 0 or 1",
            ),
            (format!(r#"{{"messages": [{user}], "chosen": [], "rejected": "b"}}"#), "each hold"),
        ];
        for (line, expected) in cases {
            let message = Sample::parse(&line).unwrap_err();
            assert!(message.contains(expected), "{line}: {message}");
        }
    }

    #[test]
    fn a_files_wrong_line_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let good = r#"{"messages": [{"role": "assistant", "content": "a"}]}"#;
        std::fs::write(file.path(), format!("{good}\n\n{good}\n{{}}\n")).unwrap();
        let error = Sample::read_all(file.path()).unwrap_err().to_string();
        assert!(error.contains("line 4") && error.contains("missing field"), "{error}");
        std::fs::write(file.path(), format!("{good}\n\n{good}\n")).unwrap();
        let lines: Vec<usize> =
            Sample::read_all(file.path()).unwrap().iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3]);
    }
}
