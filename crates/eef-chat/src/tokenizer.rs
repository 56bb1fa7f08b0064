//! Hugging Face tokenizers with errors that say where.

use std::path::Path;

use crate::ChatError;

/// A `tokenizer.json`.
///
/// Texts are never searched for control tokens: an observation that contains the characters
/// `<|end|>` is encoded as those characters, so no page can end a turn. Only a
/// [`ChatTemplate`](crate::ChatTemplate) places control tokens.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    hash: u64,
    vocabulary_size: usize,
    /// Special tokens, longest first, so that the longest one wins where two begin alike.
    special: Vec<(String, u32)>,
    bytes: Vec<u8>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`ChatError::Io`] and [`ChatError::InvalidTokenizer`].
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
    /// [`ChatError::InvalidTokenizer`].
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, ChatError> {
        Self::parse(bytes.into(), "the given text".to_owned())
    }

    fn parse(bytes: Vec<u8>, from: String) -> Result<Self, ChatError> {
        let invalid = |message: String| ChatError::InvalidTokenizer { from: from.clone(), message };
        let mut inner = tokenizers::Tokenizer::from_bytes(&bytes)
            .map_err(|error| invalid(error.to_string()))?;
        // Files saved by training scripts sometimes carry both; they would cut texts silently.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| invalid(error.to_string()))?;
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
        let hash = hash_of(&bytes);
        Ok(Self { inner, hash, vocabulary_size, special, bytes })
    }

    /// Encodes a text by itself: no control token is added or recognised.
    ///
    /// # Errors
    /// [`ChatError::Tokenizer`] where the model has no token for a character.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ChatError> {
        let encoding = self.inner.encode_fast(text, false).map_err(|error| {
            ChatError::Tokenizer { doing: "encode a text", message: error.to_string() }
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Encodes a template's text, in which control tokens stand by name.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_special(&self, text: &str) -> Result<Vec<u32>, ChatError> {
        let mut ids = Vec::new();
        let mut plain = 0;
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if let Some((token, id)) = self.special.iter().find(|(s, _)| rest.starts_with(s)) {
                ids.extend(self.encode(&text[plain..at])?);
                ids.push(*id);
                at += token.len();
                plain = at;
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        ids.extend(self.encode(&text[plain..])?);
        Ok(ids)
    }

    /// The text of ids, control tokens shown by name. Ids that are no valid UTF-8 together give
    /// the replacement character.
    ///
    /// # Errors
    /// [`ChatError::Tokenizer`] where the decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, ChatError> {
        self.inner.decode(ids, false).map_err(|error| ChatError::Tokenizer {
            doing: "decode ids",
            message: error.to_string(),
        })
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
