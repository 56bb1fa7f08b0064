//! Texts to ids and back.

use std::path::Path;

use eef_chat::Encoder;
use serde::Deserialize;

use super::{Tally, read};
use crate::AgentError;

/// A text, or a conversation and the text that its template makes of it.
#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    decoded: Option<String>,
}

pub(super) fn compare(
    encoder: &Encoder,
    _directory: &Path,
    path: &Path,
    tally: &mut Tally,
) -> Result<(), AgentError> {
    let cases: Vec<Case> = read(path)?;
    let tokenizer = encoder.tokenizer();
    for (number, case) in cases.iter().enumerate() {
        tally.case((number + 1).to_string());
        tally.same("ids", &tokenizer.encode_with_special(&case.text)?, &case.ids);
        if let Some(decoded) = &case.decoded {
            tally.same("decoded", &tokenizer.decode(&case.ids)?, decoded);
        }
    }
    Ok(())
}
