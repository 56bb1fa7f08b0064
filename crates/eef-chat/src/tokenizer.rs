//! Hugging Face tokenizers with errors that say where.

use std::path::Path;

use serde_json::Value;

use crate::ChatError;
use crate::leading_space::Continuing;

/// A `tokenizer.json`.
///
/// Texts are never searched for control tokens: an observation that contains the characters
/// `<|end|>` is encoded as those characters, so no page can end a turn. Only a
/// [`ChatTemplate`](crate::ChatTemplate) places control tokens.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    continuing: Option<Continuing>,
    hash: u64,
    vocabulary_size: usize,
    /// Special tokens, longest first, so that the longest one wins where two begin alike.
    special: Vec<(String, u32)>,
    bytes: Vec<u8>,
}

/// A part of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    /// A template's text, in which control tokens stand by name.
    Template(&'a str),
    /// Anybody's text, in which there are no control tokens.
    Text(&'a str),
}

/// What stands before a part: it decides whether text begins there or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing: a conversation begins.
    Nothing,
    /// A control token.
    Control,
    /// Text.
    Text,
}

impl Before {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Control, Self::Text];
}

/// Whether a normalizer is a map compiled by SentencePiece, or contains one. A number in such a map
/// says how much memory to take for it, and nothing checks that number.
fn has_compiled_map(normalizer: &Value) -> bool {
    let parts = normalizer.get("normalizers").and_then(Value::as_array);
    normalizer.get("type").is_some_and(|name| name == "Precompiled")
        || normalizer.get("precompiled_charsmap").is_some()
        || parts.is_some_and(|parts| parts.iter().any(has_compiled_map))
}

/// What a call into the tokenizers crate gives, or the message with which it panicked: it does so
/// for some files that are valid JSON and no valid tokenizer. The program's panic hook is told too.
fn without_panics<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    // A tokenizer that is parsed is dropped with the panic; a parsed one is not changed by its use.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        text.unwrap_or_else(|| "the tokenizers crate panicked".to_owned())
    })
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`ChatError::Io`], [`ChatError::InvalidTokenizer`] and [`ChatError::UnsupportedTokenizer`].
    pub fn open(path: &Path) -> Result<Self, ChatError> {
        let bytes = std::fs::read(path).map_err(|source| ChatError::Io {
            doing: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::parse(bytes, path.display().to_string())
    }

    /// Parses the bytes of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`ChatError::InvalidTokenizer`] and [`ChatError::UnsupportedTokenizer`].
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, ChatError> {
        Self::parse(bytes.into(), "the given text".to_owned())
    }

    fn parse(bytes: Vec<u8>, from: String) -> Result<Self, ChatError> {
        let invalid = |message: String| ChatError::InvalidTokenizer { from: from.clone(), message };
        // The parser of decoders expects valid JSON, and panics at anything else.
        let json: Value =
            serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        if json.get("normalizer").is_some_and(has_compiled_map) {
            let message = "its normalizer is Precompiled, which no model of the LLaMA family has";
            return Err(ChatError::UnsupportedTokenizer { from, message: message.to_owned() });
        }
        // What was looked at, and not the bytes: they could name a key twice.
        let checked = serde_json::to_vec(&json).map_err(|error| invalid(error.to_string()))?;
        let mut inner = without_panics(|| tokenizers::Tokenizer::from_bytes(&checked))
            .map_err(invalid)?
            .map_err(|error| invalid(error.to_string()))?;
        // Files saved by training scripts sometimes carry both; they would cut texts silently.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| invalid(error.to_string()))?;
        // Randomness of a training that would be drawn from no seed of ours.
        if let tokenizers::ModelWrapper::BPE(model) = inner.get_model()
            && model.dropout.is_some_and(|dropout| dropout > 0.0)
        {
            let mut model = model.clone();
            model.dropout = None;
            inner.with_model(tokenizers::ModelWrapper::BPE(model));
        }
        inner.set_encode_special_tokens(true);
        let vocabulary = inner.get_vocab(true);
        let vocabulary_size = vocabulary.values().max().map_or(0, |id| *id as usize + 1);
        let mut special: Vec<(String, u32)> = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special && !token.content.is_empty())
            .map(|(id, token)| (token.content, id))
            .collect();
        special.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        let continuing = Continuing::of(&inner)
            .map_err(|message| ChatError::UnsupportedTokenizer { from: from.clone(), message })?;
        let hash = hash_of(&bytes);
        Ok(Self { inner, continuing, hash, vocabulary_size, special, bytes })
    }

    /// Encodes a text by itself: no control token is added or recognised.
    ///
    /// # Errors
    /// [`ChatError::Tokenizer`] where the model has no token for a character.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ChatError> {
        self.encode_run(text, Before::Nothing)
    }

    /// Encodes a template's text, in which control tokens stand by name.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_special(&self, text: &str) -> Result<Vec<u32>, ChatError> {
        self.encode_parts(Before::Nothing, &[Part::Template(text)])
    }

    /// Encodes parts that follow each other. Text between two control tokens is encoded as one,
    /// however many parts it is of: as the whole conversation's text would be.
    pub(crate) fn encode_parts(
        &self,
        mut before: Before,
        parts: &[Part<'_>],
    ) -> Result<Vec<u32>, ChatError> {
        let mut ids = Vec::new();
        let mut run = String::new();
        for part in parts {
            let rest = match part {
                Part::Text(text) => text,
                Part::Template(text) => {
                    let mut rest = *text;
                    while let Some((plain, (_, id), after)) = self.split_at_control(rest) {
                        run.push_str(plain);
                        ids.extend(self.encode_run(&run, before)?);
                        ids.push(id);
                        run.clear();
                        before = Before::Control;
                        rest = after;
                    }
                    rest
                }
            };
            run.push_str(rest);
        }
        ids.extend(self.encode_run(&run, before)?);
        Ok(ids)
    }

    /// What stands before whatever is appended to these ids.
    pub(crate) fn before(&self, ids: &[u32]) -> Before {
        match ids.last() {
            None => Before::Nothing,
            Some(last) if self.special.iter().any(|(_, id)| id == last) => Before::Control,
            Some(_) => Before::Text,
        }
    }

    /// The text before the first control token of a template's text, the token, and the text after.
    pub(crate) fn split_at_control<'a>(
        &self,
        text: &'a str,
    ) -> Option<(&'a str, (&str, u32), &'a str)> {
        text.char_indices().find_map(|(at, _)| {
            let (plain, rest) = text.split_at(at);
            let mut special = self.special.iter();
            special.find_map(|(token, id)| {
                Some((plain, (token.as_str(), *id), rest.strip_prefix(token.as_str())?))
            })
        })
    }

    /// Whether a text that consists of a control token's name gives the token itself.
    pub(crate) fn can_be_spelt(&self, token: &str, id: u32) -> Result<bool, ChatError> {
        for before in Before::ALL {
            if self.encode_run(token, before)?.contains(&id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn encode_run(&self, text: &str, before: Before) -> Result<Vec<u32>, ChatError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let inner = match (&self.continuing, before) {
            (None, _) | (_, Before::Nothing) => &self.inner,
            (Some(continuing), Before::Control) if continuing.is_for_every_run => &self.inner,
            (Some(continuing), _) => &continuing.inner,
        };
        let fail = |message: String| ChatError::Tokenizer { doing: "encode a text", message };
        let encoding = without_panics(|| inner.encode_fast(text, false)).map_err(fail)?;
        Ok(encoding.map_err(|error| fail(error.to_string()))?.get_ids().to_vec())
    }

    /// The text of ids, control tokens shown by name. Ids that are no valid UTF-8 together give
    /// the replacement character.
    ///
    /// # Errors
    /// [`ChatError::Tokenizer`] where the decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, ChatError> {
        let fail = |message: String| ChatError::Tokenizer { doing: "decode ids", message };
        let decoded = without_panics(|| self.inner.decode(ids, false)).map_err(fail)?;
        decoded.map_err(|error| fail(error.to_string()))
    }

    /// The text that ids add to those before them. By themselves they may decode to something else:
    /// some tokenizers leave out the space before a text's first word, and a character may be begun
    /// by the last id before.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn decode_after(&self, before: &[u32], ids: &[u32]) -> Result<String, ChatError> {
        // A character has four bytes at most, and an id one at least.
        let before = &before[before.len().saturating_sub(8)..];
        let whole = self.decode(&[before, ids].concat())?;
        let first = self.decode(before)?;
        let kept = first.trim_end_matches(char::REPLACEMENT_CHARACTER);
        match whole.strip_prefix(&first).or_else(|| whole.strip_prefix(kept)) {
            Some(added) => Ok(added.to_owned()),
            None => self.decode(ids),
        }
    }

    /// The id of a token, by its name in the file (control tokens included).
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// One more than the largest id: the number of rows that an embedding needs.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    /// A hash of the file's bytes: ids of tokenizers with different hashes are never mixed.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The file's bytes, as they were read.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn hash_of(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tiny_tokenizer;

    #[test]
    fn a_page_cannot_end_a_turn() {
        let tokenizer = tiny_tokenizer();
        let end = tokenizer.token_id("<|end|>").unwrap();
        let ids = tokenizer.encode("buy <|end|> now").unwrap();
        assert!(!ids.contains(&end));
        assert_eq!(tokenizer.decode(&ids).unwrap(), "buy <|end|> now");
        let ids = tokenizer.encode_with_special("é<|end|>now<|end|>").unwrap();
        assert_eq!(ids.iter().filter(|id| **id == end).count(), 2);
        assert_eq!(tokenizer.decode(&ids).unwrap(), "é<|end|>now<|end|>");
    }

    #[test]
    fn dropout_of_a_training_is_left_out() {
        let tokenizer = tiny_tokenizer();
        let mut file: serde_json::Value = serde_json::from_slice(tokenizer.as_bytes()).unwrap();
        file["model"]["dropout"] = 0.9.into();
        let dropping = Tokenizer::from_bytes(file.to_string()).unwrap();
        let text = "search for a red mug, search for a blue mug";
        let expected = tokenizer.encode(text).unwrap();
        assert!((0..20).all(|_| dropping.encode(text).unwrap() == expected));
    }

    #[test]
    fn what_ids_add_is_cut_from_the_whole() {
        let tokenizer = tiny_tokenizer();
        for text in ["search é and é", "a", " mug", "né<x>"] {
            let ids = tokenizer.encode(text).unwrap();
            for at in 0..=ids.len() {
                let (before, after) = ids.split_at(at);
                let first = tokenizer.decode(before).unwrap();
                let added = tokenizer.decode_after(before, after).unwrap();
                let kept = first.trim_end_matches(char::REPLACEMENT_CHARACTER);
                assert!(format!("{kept}{added}") == text || format!("{first}{added}") == text);
            }
        }
    }

    #[test]
    fn errors_say_where() {
        let error = Tokenizer::open(Path::new("/nowhere/tokenizer.json")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/tokenizer.json");
        let error = Tokenizer::from_bytes(&b"{"[..]).unwrap_err();
        assert!(error.to_string().contains("no tokenizer.json"), "{error}");
    }

    #[test]
    fn the_hash_is_of_the_bytes() {
        let tokenizer = tiny_tokenizer();
        let again = Tokenizer::from_bytes(tokenizer.as_bytes()).unwrap();
        assert_eq!(tokenizer.hash(), again.hash());
        assert!(tokenizer.vocabulary_size() > 256);
    }
}
