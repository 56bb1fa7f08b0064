//! Conversations as growing sequences of tokens.

use std::ops::Range;
use std::sync::Arc;

use eef_core::{Message, Role};

use crate::template::SystemParts;
use crate::tokenizer::{Before, Part};
use crate::{ChatError, ChatTemplate, Tokenizer};

/// Encodes messages with one tokenizer and one template.
///
/// Rollouts and training both go through [`Encoder::push`], so that a model is trained on exactly
/// the ids that it had in its context.
#[derive(Clone, Debug)]
pub struct Encoder {
    tokenizer: Arc<Tokenizer>,
    template: ChatTemplate,
    begin: Vec<u32>,
    /// What it is depends on what stands before: one for each [`Before`].
    reply_prefix: [Vec<u32>; 3],
    reply_end: u32,
    reply_gap: Vec<u32>,
}

/// A conversation's tokens so far. It only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    token_ids: Vec<u32>,
    replies: Vec<Range<usize>>,
    state: State,
}

/// What the last token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The beginning, or a user's message.
    Listening,
    /// The reply's prefix: a reply must follow.
    Replying,
    /// A reply that ended its turn.
    Replied,
    /// A reply that was cut off before it ended its turn.
    Interrupted,
}

impl Conversation {
    /// The ids.
    pub fn token_ids(&self) -> &[u32] {
        &self.token_ids
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.token_ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.token_ids.is_empty()
    }

    /// Where reply `i`'s tokens are, its end-of-turn token included: the tokens of action `i`.
    pub fn replies(&self) -> &[Range<usize>] {
        &self.replies
    }
}

impl Encoder {
    /// Joins a tokenizer and a template.
    ///
    /// # Errors
    /// [`ChatError::EndOfTurn`] where the template's end of turn is not one special token;
    /// [`ChatError::UnknownControlToken`] and [`ChatError::SpeltControlToken`] where a control
    /// token of the template is not one, or is one that texts can produce.
    pub fn new(tokenizer: Arc<Tokenizer>, template: ChatTemplate) -> Result<Self, ChatError> {
        template.check(&tokenizer)?;
        let Some(("", (_, reply_end), "")) = tokenizer.split_at_control(&template.reply_end) else {
            return Err(ChatError::EndOfTurn {
                n_tokens: tokenizer.encode_with_special(&template.reply_end)?.len(),
                template: template.name,
                end: template.reply_end,
            });
        };
        let after = |before, text| tokenizer.encode_parts(before, &[Part::Template(text)]);
        let [nothing, control, text] =
            Before::ALL.map(|before| after(before, &template.reply_prefix));
        Ok(Self {
            begin: after(Before::Nothing, &template.begin)?,
            reply_prefix: [nothing?, control?, text?],
            reply_end,
            reply_gap: after(Before::Control, &template.reply_gap)?,
            tokenizer,
            template,
        })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// The template.
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// The token that ends a reply.
    pub fn stop_token(&self) -> u32 {
        self.reply_end
    }

    /// A conversation in which nothing was said.
    pub fn start(&self) -> Conversation {
        Conversation { token_ids: self.begin.clone(), replies: Vec::new(), state: State::Listening }
    }

    /// A conversation that a system message begins: what the agent is told before anybody speaks.
    ///
    /// # Errors
    /// [`ChatError::NoSystemMessage`] where the template has no place for one;
    /// [`ChatError::Tokenizer`].
    pub fn start_with_system(&self, text: &str) -> Result<Conversation, ChatError> {
        let Some(SystemParts { prefix, suffix }) = &self.template.system else {
            return Err(ChatError::NoSystemMessage { template: self.template.name.clone() });
        };
        let parts = [Part::Template(prefix), Part::Text(text), Part::Template(suffix)];
        let token_ids = self.tokenizer.encode_parts(Before::Nothing, &parts)?;
        Ok(Conversation { token_ids, ..self.start() })
    }

    /// Appends a message.
    ///
    /// A reply's sampled ids are taken verbatim where they are of this tokenizer; its text is
    /// encoded, and the end of turn added, where they are not. A sampled reply that was cut off
    /// keeps the ids it has: its end of turn is added as context when the next message comes.
    ///
    /// # Errors
    /// [`ChatError::Tokenizer`].
    pub fn push(
        &self,
        conversation: &mut Conversation,
        message: &Message,
    ) -> Result<(), ChatError> {
        match message.role {
            Role::User => {
                self.end_turn(conversation);
                let ids = &mut conversation.token_ids;
                let parts = [
                    Part::Template(&self.template.user_prefix),
                    Part::Text(&message.text),
                    Part::Template(&self.template.user_suffix),
                ];
                ids.extend(self.tokenizer.encode_parts(self.tokenizer.before(ids), &parts)?);
                conversation.state = State::Listening;
            }
            Role::Assistant => {
                self.begin_reply(conversation);
                let start = conversation.len();
                match &message.sampled {
                    Some(sampled) if sampled.tokenizer == self.tokenizer.hash() => {
                        conversation.token_ids.extend(&sampled.ids);
                    }
                    _ => {
                        let ids = &mut conversation.token_ids;
                        let before = self.tokenizer.before(ids);
                        let template = &self.template;
                        let parts = [
                            Part::Text(&template.reply_text_prefix),
                            Part::Text(&message.text),
                            Part::Text(&template.reply_text_suffix),
                        ];
                        ids.extend(self.tokenizer.encode_parts(before, &parts)?);
                        ids.push(self.reply_end);
                    }
                }
                let ended = conversation.token_ids[start..].last() == Some(&self.reply_end);
                conversation.replies.push(start..conversation.len());
                conversation.state = if ended { State::Replied } else { State::Interrupted };
            }
        }
        Ok(())
    }

    /// Appends what the model reads right before it replies. Doing so twice does it once.
    pub fn begin_reply(&self, conversation: &mut Conversation) {
        if conversation.state != State::Replying {
            self.end_turn(conversation);
            let before = self.tokenizer.before(&conversation.token_ids);
            conversation.token_ids.extend(&self.reply_prefix[before as usize]);
            conversation.state = State::Replying;
        }
    }

    fn end_turn(&self, conversation: &mut Conversation) {
        if conversation.state == State::Interrupted {
            conversation.token_ids.push(self.reply_end);
        }
        if matches!(conversation.state, State::Interrupted | State::Replied) {
            conversation.token_ids.extend(&self.reply_gap);
        }
        conversation.state = State::Listening;
    }
}

#[cfg(test)]
mod tests {
    use eef_core::SampledTokens;
    use serde_json::Value;

    use super::*;
    use crate::testing::{sentence_piece, tiny_encoder};

    #[test]
    fn a_reply_that_was_cut_off_is_closed_by_the_next_message() {
        let encoder = tiny_encoder();
        let hash = encoder.tokenizer().hash();
        let ids = encoder.tokenizer().encode("right").unwrap();
        let sampled =
            SampledTokens { tokenizer: hash, ids: ids.clone(), log_probabilities: Vec::new() };
        let mut conversation = encoder.start();
        encoder.push(&mut conversation, &Message::user("room 0")).unwrap();
        encoder.push(&mut conversation, &Message::assistant("right", Some(sampled))).unwrap();
        let reply = conversation.replies()[0].clone();
        assert_eq!(conversation.token_ids()[reply.clone()], ids);
        assert_eq!(reply.end, conversation.len());
        encoder.push(&mut conversation, &Message::user("room 1")).unwrap();
        assert_eq!(conversation.token_ids()[reply.end], encoder.stop_token());
    }

    #[test]
    fn ids_of_another_tokenizer_are_never_taken() {
        let encoder = tiny_encoder();
        let foreign = SampledTokens { tokenizer: 1, ids: vec![9], log_probabilities: Vec::new() };
        let mut one = encoder.start();
        encoder.push(&mut one, &Message::assistant("take", Some(foreign))).unwrap();
        let mut two = encoder.start();
        encoder.push(&mut two, &Message::assistant("take", None)).unwrap();
        assert_eq!(one, two);
        assert_eq!(one.token_ids().last(), Some(&encoder.stop_token()));
    }

    fn refusal(template: ChatTemplate) -> String {
        Encoder::new(tiny_encoder().tokenizer().clone(), template).unwrap_err().to_string()
    }

    #[test]
    fn an_end_of_turn_that_texts_can_hold_is_refused() {
        for (end, n_tokens) in [("search[", 1), ("<|end|><|end|>", 2), ("<|end|>.", 2)] {
            let template = ChatTemplate { reply_end: end.to_owned(), ..ChatTemplate::compact() };
            let message = refusal(template);
            let expected = format!("{end:?} ({n_tokens} tokens) is not one special token");
            assert!(message.contains(&expected), "{message}");
        }
    }

    #[test]
    fn a_misspelt_control_token_is_refused() {
        let template = ChatTemplate {
            user_prefix: "<|assistant|>\n<|im_strt|>user\n".to_owned(),
            ..ChatTemplate::compact()
        };
        insta::assert_snapshot!(refusal(template), @r#"template `compact`, user_prefix: "<|im_strt|>" is no special token of the tokenizer and would be spelt in characters; write in eef_chat.json what tokenizer.json has as `special`"#);
        let template = ChatTemplate { begin: "<s>".to_owned(), ..ChatTemplate::compact() };
        let message = refusal(template);
        assert!(message.contains("begin: \"<s>\" is no special token"), "{message}");
        // What only looks a little like one is text.
        let template =
            ChatTemplate { begin: "a <b> | <c/> |>".to_owned(), ..ChatTemplate::compact() };
        assert!(Encoder::new(tiny_encoder().tokenizer().clone(), template).is_ok());
    }

    #[test]
    fn a_control_token_that_a_page_can_spell_is_refused() {
        let bytes = sentence_piece(&Value::Null, &Value::Null);
        let mut json: Value = serde_json::from_slice(&bytes).unwrap();
        json["model"]["ignore_merges"] = true.into();
        let tokenizer = Tokenizer::from_bytes(serde_json::to_vec(&json).unwrap()).unwrap();
        let error = Encoder::new(Arc::new(tokenizer), ChatTemplate::mistral()).unwrap_err();
        assert!(matches!(error, ChatError::SpeltControlToken { field: "begin", .. }), "{error}");
    }
}
