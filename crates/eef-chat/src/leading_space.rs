//! The space that some tokenizers put before a text that has none.
//!
//! SentencePiece-style tokenizers (LLaMA 2, Mistral) read `hi` as `▁hi`, so that a word is the same
//! token at the beginning and in the middle. They do so once for each run of text between control
//! tokens. A message that continues such a run must be encoded without: nobody wrote that space.

use tokenizers::Tokenizer;
use tokenizers::normalizers::{self, NormalizerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;

/// A tokenizer that differs from another one in putting no space before a text.
#[derive(Debug)]
pub(crate) struct Continuing {
    /// The tokenizer.
    pub inner: Tokenizer,
    /// Whether the other one puts a space before every run of text, and not before the first alone.
    pub is_for_every_run: bool,
}

impl Continuing {
    /// `None` where the tokenizer puts no space before a text.
    ///
    /// # Errors
    /// Says why, where the space cannot be left out without losing others.
    pub fn of(tokenizer: &Tokenizer) -> Result<Option<Self>, String> {
        let mut found = Found::default();
        let normalizer =
            tokenizer.get_normalizer().and_then(|normalizer| found.without(normalizer));
        let mut pre_tokenizer = tokenizer.get_pre_tokenizer().cloned();
        if let Some(pre_tokenizer) = &mut pre_tokenizer {
            found.take_from(pre_tokenizer, true)?;
        }
        if !(found.every_run || found.first_run) {
            return Ok(None);
        }
        let mut inner = tokenizer.clone();
        inner.with_normalizer(normalizer).map_err(|error| error.to_string())?;
        inner.with_pre_tokenizer(pre_tokenizer);
        Ok(Some(Self { inner, is_for_every_run: found.every_run }))
    }
}

/// Where a space is put.
#[derive(Default)]
struct Found {
    first_run: bool,
    every_run: bool,
}

impl Found {
    fn without(&mut self, normalizer: &NormalizerWrapper) -> Option<NormalizerWrapper> {
        match normalizer {
            NormalizerWrapper::Prepend(_) => {
                self.every_run = true;
                None
            }
            NormalizerWrapper::Sequence(parts) => {
                let parts = parts.as_ref().iter().filter_map(|part| self.without(part)).collect();
                Some(NormalizerWrapper::Sequence(normalizers::Sequence::new(parts)))
            }
            other => Some(other.clone()),
        }
    }

    fn take_from(
        &mut self,
        pre_tokenizer: &mut PreTokenizerWrapper,
        is_first: bool,
    ) -> Result<(), String> {
        let is_for_every_piece = match pre_tokenizer {
            PreTokenizerWrapper::Metaspace(metaspace) => {
                let scheme = metaspace.get_prepend_scheme();
                metaspace.set_prepend_scheme(PrependScheme::Never);
                self.first_run |= scheme == PrependScheme::First;
                scheme == PrependScheme::Always
            }
            PreTokenizerWrapper::ByteLevel(bytes) => {
                std::mem::replace(&mut bytes.add_prefix_space, false)
            }
            PreTokenizerWrapper::Sequence(parts) => {
                for (place, part) in parts.as_mut().iter_mut().enumerate() {
                    self.take_from(part, is_first && place == 0)?;
                }
                false
            }
            _ => false,
        };
        if is_for_every_piece && !is_first {
            return Err(
                "a pre-tokenizer that puts a space before a text stands behind another one, \
                        so that every piece gets one: expected it first"
                    .to_owned(),
            );
        }
        self.every_run |= is_for_every_piece;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eef_core::Message;
    use serde_json::{Value, json};

    use crate::testing::sentence_piece;
    use crate::{ChatError, ChatTemplate, Encoder, Tokenizer};

    /// A normalizer and a pre-tokenizer for each way to put a space before a text.
    fn ways() -> [(Value, Value); 5] {
        let metaspace = |scheme: &str, split: bool| {
            json!({
                "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split,
            })
        };
        let prepend = json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]});
        let bytes = json!({
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
        });
        [
            (prepend, Value::Null),
            (Value::Null, metaspace("always", true)),
            (Value::Null, metaspace("first", false)),
            (Value::Null, metaspace("never", true)),
            (Value::Null, bytes),
        ]
    }

    #[test]
    fn a_message_gets_no_space_that_nobody_wrote() {
        for (normalizer, pre_tokenizer) in ways() {
            let bytes = sentence_piece(&normalizer, &pre_tokenizer);
            let whole = tokenizers::Tokenizer::from_bytes(&bytes).unwrap();
            let tokenizer = Arc::new(Tokenizer::from_bytes(bytes).unwrap());
            for template in [ChatTemplate::mistral(), ChatTemplate::compact()] {
                let t = template.clone();
                let encoder = Encoder::new(Arc::clone(&tokenizer), template).unwrap();
                let mut conversation = encoder.start();
                let mut text = t.begin.clone();
                for (asked, said) in [("hi mug", "search"), (" hi", "hi mug"), ("", " mug hi")] {
                    encoder.push(&mut conversation, &Message::user(asked)).unwrap();
                    encoder.push(&mut conversation, &Message::assistant(said, None)).unwrap();
                    let turn = [&t.user_prefix, asked, &t.user_suffix, &t.reply_prefix, said];
                    text.extend(turn.into_iter().chain([&*t.reply_end, &*t.reply_gap]));
                    let expected = whole.encode(text.as_str(), false).unwrap();
                    let context = format!("{pre_tokenizer} {normalizer} {text}");
                    assert_eq!(conversation.token_ids(), expected.get_ids(), "{context}");
                }
            }
        }
    }

    #[test]
    fn what_is_generated_keeps_its_first_space() {
        // All but the last, which is no SentencePiece.
        for (normalizer, pre_tokenizer) in ways().into_iter().take(4) {
            let file = sentence_piece(&normalizer, &pre_tokenizer);
            let mut file: Value = serde_json::from_slice(&file).unwrap();
            // As in files of LLaMA 2: the space before the first word is left out.
            file["decoder"] = json!({
                "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true,
            });
            let tokenizer = Tokenizer::from_bytes(file.to_string()).unwrap();
            let ids = tokenizer.encode("hi mug hi").unwrap();
            let whole = tokenizer.decode(&ids).unwrap();
            for at in 1..ids.len() {
                let before = tokenizer.decode(&ids[..at]).unwrap();
                let added = tokenizer.decode_after(&ids[..at], &ids[at..]).unwrap();
                assert_eq!(format!("{before}{added}"), whole, "{pre_tokenizer}");
            }
            assert!(whole.contains(" mug"), "{whole}");
        }
    }

    #[test]
    fn a_space_before_every_word_is_refused() {
        let pre_tokenizer = json!({"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        ]});
        let error =
            Tokenizer::from_bytes(sentence_piece(&Value::Null, &pre_tokenizer)).unwrap_err();
        assert!(matches!(error, ChatError::UnsupportedTokenizer { .. }), "{error}");
    }
}
