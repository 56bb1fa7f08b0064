//! Expert trajectories in the file formats of other projects.

use std::path::Path;

use eef_core::Role;
use serde::Deserialize;
use serde_json::Value;

use crate::StoreError;
use crate::lines::{Lines, record_error};

/// Whose format a record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignFormat {
    /// ETO's supervised data: `{"id", "conversations": [{"from", "value"}], "reward"}`.
    Eto,
    /// AgentTraj: `{"conversations": [{"from", "loss", "value"}], "item_id"}`.
    AgentTraj,
}

/// A conversation from another project. It becomes a trajectory by replaying its replies in an
/// environment, which this crate knows nothing of.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignTrajectory {
    /// Whose format it came in.
    pub format: ForeignFormat,
    /// The task's name in that project, such as `webshop_6`.
    pub item: String,
    /// What was said, in order.
    pub messages: Vec<ForeignMessage>,
    /// The final reward, where the file states it; not checked against `[0, 1]`.
    pub reward: Option<f64>,
    /// Line of the file on which the record starts (JSONL), or its number in the array, from 1.
    pub position: usize,
}

/// One message of a foreign conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignMessage {
    /// Who said it.
    pub role: Role,
    /// The text.
    pub text: String,
    /// Whether the file says that it is to be trained on.
    pub trained: Option<bool>,
}

/// Reads a file of ETO or AgentTraj records, a JSON array or JSONL; which of the two a record is
/// shows by its fields.
///
/// # Errors
/// [`StoreError::Record`] naming the line, or for an array the number of the record.
pub fn read_foreign(path: impl AsRef<Path>) -> Result<Vec<ForeignTrajectory>, StoreError> {
    let path = path.as_ref();
    let mut trajectories = Vec::new();
    if starts_with_array(path)? {
        let text = std::fs::read_to_string(path).map_err(StoreError::io("read", path))?;
        let records: Vec<Value> = serde_json::from_str(&text)
            .map_err(|error| record_error(path, error.line(), "an array of records", &error))?;
        for (index, record) in records.into_iter().enumerate() {
            let position = index + 1;
            trajectories.push(convert(record, position).map_err(|message| {
                // The array has been read: where its records lie in the text is no longer known.
                let message = format!("record {position} of the array: {message}");
                StoreError::Record { path: path.to_path_buf(), line: 1, message }
            })?);
        }
    } else {
        let mut lines = Lines::open(path)?;
        while let Some((line, text)) = lines.next_line()? {
            let record = serde_json::from_str(text)
                .map_err(|error| record_error(path, line, "a record in JSON", &error))?;
            trajectories.push(convert(record, line).map_err(|message| StoreError::Record {
                path: path.to_path_buf(),
                line,
                message,
            })?);
        }
    }
    Ok(trajectories)
}

#[derive(Deserialize)]
struct ForeignRecord {
    id: Option<Value>,
    item_id: Option<Value>,
    conversations: Option<Vec<MessageRecord>>,
    reward: Option<f64>,
}

#[derive(Deserialize)]
struct MessageRecord {
    from: String,
    value: String,
    loss: Option<bool>,
}

fn starts_with_array(path: &Path) -> Result<bool, StoreError> {
    let mut lines = Lines::open(path)?;
    Ok(lines.next_line()?.is_some_and(|(_, text)| text.starts_with('[')))
}

fn convert(record: Value, position: usize) -> Result<ForeignTrajectory, String> {
    let record: ForeignRecord = serde_json::from_value(record)
        .map_err(|error| format!("no ETO or AgentTraj record: {error}"))?;
    let (format, item) = match (record.id, record.item_id) {
        (None, Some(item)) => (ForeignFormat::AgentTraj, item),
        (Some(id), None) => (ForeignFormat::Eto, id),
        (None, None) => return Err("neither `id` (ETO) nor `item_id` (AgentTraj)".to_owned()),
        (Some(_), Some(_)) => return Err("both `id` (ETO) and `item_id` (AgentTraj)".to_owned()),
    };
    let item = match item {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        other => return Err(format!("the id is neither text nor a number: {other}")),
    };
    let messages = record.conversations.unwrap_or_default();
    if messages.is_empty() {
        return Err("it has no `conversations` (files made for evaluation have none)".to_owned());
    }
    let messages = messages.into_iter().enumerate().map(|(index, message)| {
        let role = match message.from.as_str() {
            "human" | "user" => Role::User,
            "gpt" | "assistant" => Role::Assistant,
            other => {
                let place = format!("conversations[{index}].from");
                return Err(format!("{place}: `{other}`, expected `human` or `gpt`"));
            }
        };
        Ok(ForeignMessage { role, text: message.value, trained: message.loss })
    });
    Ok(ForeignTrajectory {
        format,
        item,
        messages: messages.collect::<Result<_, _>>()?,
        reward: record.reward,
        position,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ForeignTrajectory>, StoreError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("experts.json");
        std::fs::write(&path, text).unwrap();
        read_foreign(&path)
    }

    const ETO: &str = r#"{"id": 7, "conversations": [{"from": "human", "value": "buy a mug"},
        {"from": "gpt", "value": "Action: search[mug]"}], "reward": 0.75}"#;

    #[test]
    fn an_eto_array_is_read() {
        let read = read(&format!("[{ETO}]")).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].format, read[0].item.as_str()), (ForeignFormat::Eto, "7"));
        assert_eq!(read[0].reward, Some(0.75));
        assert_eq!(read[0].messages[1].role, Role::Assistant);
    }

    #[test]
    fn agent_traj_lines_are_read_with_their_loss_flags() {
        let line = r#"{"conversations":[{"from":"human","loss":null,"value":"go"},{"from":"gpt","loss":true,"value":"ok"}],"item_id":"webshop_6"}"#;
        let read = read(&format!("{line}\n\n{line}\n")).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[1].item.as_str(), read[1].position), ("webshop_6", 3));
        let trained: Vec<_> = read[0].messages.iter().map(|message| message.trained).collect();
        assert_eq!(trained, [None, Some(true)]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let line = ETO.replace('\n', " ");
        for (text, expected) in [
            (format!("{line}\n{{\"id\": 1"), ":2: expected a record in JSON: EOF"),
            (format!("{line}\n{{\"id\": 1}}"), ":2: it has no `conversations`"),
            (format!("[{ETO}, {{\"reward\": 1}}]"), "record 2 of the array: neither `id`"),
            (format!("[{}]", ETO.replace("gpt", "bot")), "conversations[1].from: `bot`"),
            (format!("[{ETO}"), "expected an array of records"),
        ] {
            let message = read(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
            assert!(!message.contains('\n'));
        }
    }
}
