//! Texts to ids and back.

use std::path::Path;

use eef_chat::{ChatMessage, Encoder, JinjaTemplate};
use serde::Deserialize;

use super::{Tally, read};
use crate::AgentError;

/// A text, or a conversation and the text that its template makes of it.
#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    decoded: Option<String>,
    messages: Option<Vec<Said>>,
    #[serde(default)]
    add_generation_prompt: bool,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: String,
}

pub(super) fn compare(
    encoder: &Encoder,
    directory: &Path,
    path: &Path,
    tally: &mut Tally,
) -> Result<(), AgentError> {
    let cases: Vec<Case> = read(path)?;
    let tokenizer = encoder.tokenizer();
    let template = JinjaTemplate::of_model(directory)?;
    for (number, case) in cases.iter().enumerate() {
        tally.case((number + 1).to_string());
        tally.same("ids", &tokenizer.encode_with_special(&case.text)?, &case.ids);
        // Without the model's own template there is nothing that could write the text.
        if let (Some(messages), Some(template)) = (&case.messages, &template) {
            let said = |said: &Said| ChatMessage::new(&*said.role, &*said.content);
            let messages: Vec<ChatMessage> = messages.iter().map(said).collect();
            let text = template.render(&messages, case.add_generation_prompt)?;
            tally.same("text of the conversation", &text, &case.text);
        }
        if let Some(decoded) = &case.decoded {
            tally.same("decoded", &tokenizer.decode(&case.ids)?, decoded);
        }
    }
    Ok(())
}
