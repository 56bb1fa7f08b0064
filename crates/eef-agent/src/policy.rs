//! A policy that samples from a model in this process.

use std::collections::BTreeMap;
use std::path::Path;

use eef_chat::{Conversation, Encoder};
use eef_core::{
    ConversationId, Message, Policy, PolicyError, Reply, ReplyEnd, Role, SampledTokens, Turn,
};
use eef_llama::{Completion, Finish, Generator, GeneratorConfig, InferenceModel, Request};

use crate::{AgentError, GenerationOptions, LoadOptions, model};

/// A [`Policy`] over a [`Generator`]: messages become tokens, tokens become replies.
///
/// What was sampled stays in the conversation verbatim. A reply cut off by the limit of tokens is
/// closed by its end-of-turn token when the next message comes, as it will be in training.
pub struct LlamaPolicy {
    generator: Generator,
    encoder: Encoder,
    max_reply_tokens: usize,
    conversations: BTreeMap<ConversationId, Held>,
}

struct Held {
    conversation: Conversation,
    /// Tokens that the generator has taken.
    n_known: usize,
}

impl LlamaPolicy {
    /// Opens a model's directory on a device such as `cpu`.
    ///
    /// # Errors
    /// [`AgentError`] where the model, its tokenizer or its template cannot be read, or do not fit.
    pub fn open(
        directory: &Path,
        device_name: &str,
        options: &GenerationOptions,
    ) -> Result<Self, AgentError> {
        let load = LoadOptions { device: device_name, ..LoadOptions::default() };
        let (llama, encoder) = model::open(directory, load)?;
        Self::new(llama, encoder, options)
    }

    /// Joins a model and an encoder.
    ///
    /// # Errors
    /// [`AgentError::ContextLength`] or [`AgentError::Llama`] where the model cannot generate with
    /// these options.
    pub fn new(
        model: impl Into<InferenceModel>,
        encoder: Encoder,
        options: &GenerationOptions,
    ) -> Result<Self, AgentError> {
        let model = model.into();
        let config = GeneratorConfig {
            max_sequences: options.max_sequences,
            context_length: Some(options.limit(model.config())?),
            stop_tokens: vec![encoder.stop_token()],
            max_cache_bytes: options.max_cache_bytes,
            ..GeneratorConfig::default()
        };
        Ok(Self {
            generator: Generator::new(model, config)?,
            encoder,
            max_reply_tokens: options.max_reply_tokens,
            conversations: BTreeMap::new(),
        })
    }

    /// The ids of a conversation so far, those of its last reply included.
    pub fn token_ids(&self, conversation: ConversationId) -> Option<&[u32]> {
        self.conversations.get(&conversation).map(|held| held.conversation.token_ids())
    }

    fn submit(&mut self, turn: &Turn) -> Result<(), AgentError> {
        let start = || Held { conversation: self.encoder.start(), n_known: 0 };
        let held = self.conversations.entry(turn.conversation).or_insert_with(start);
        for message in &turn.messages {
            self.encoder.push(&mut held.conversation, message)?;
        }
        self.encoder.begin_reply(&mut held.conversation);
        let tokens = held.conversation.token_ids()[held.n_known..].to_vec();
        self.generator.submit(Request {
            temperature: turn.sampling.temperature,
            top_p: turn.sampling.top_p,
            seed: turn.seed.get(),
            ..Request::greedy(turn.conversation.0, tokens, self.max_reply_tokens)
        })?;
        // Only now: what was refused is not known.
        held.n_known = held.conversation.len();
        Ok(())
    }

    fn reply(&mut self, completion: Completion) -> Result<Reply, AgentError> {
        let conversation = ConversationId(completion.sequence);
        let end = match completion.finish {
            Finish::Stop => ReplyEnd::Stop,
            Finish::Length => ReplyEnd::Length,
            // What was sampled before the context ended is no reply. The generator may not have
            // taken the turn: were the conversation kept, a shorter one would follow a gap.
            Finish::ContextFull => {
                self.close(conversation);
                let end = ReplyEnd::ContextFull;
                return Ok(Reply { conversation, text: String::new(), sampled: None, end });
            }
        };
        let ids = &completion.tokens;
        let spoken = match ids.split_last() {
            Some((last, rest)) if *last == self.encoder.stop_token() => rest,
            _ => ids,
        };
        let written = self.encoder.tokenizer().decode(spoken)?;
        let text = self.encoder.template().said(&written).to_owned();
        let sampled = SampledTokens {
            tokenizer: self.encoder.tokenizer().hash(),
            ids: completion.tokens,
            log_probabilities: completion.log_probabilities,
        };
        if let Some(held) = self.conversations.get_mut(&conversation) {
            let message = Message::assistant("", Some(sampled.clone()));
            self.encoder.push(&mut held.conversation, &message)?;
            held.n_known = held.conversation.len();
        }
        Ok(Reply { conversation, text, sampled: Some(sampled), end })
    }

    fn take_and_generate(&mut self, turns: Vec<Turn>) -> Result<Vec<Reply>, PolicyError> {
        for turn in turns {
            if turn.messages.last().is_none_or(|message| message.role != Role::User) {
                return Err(PolicyError::NothingToAnswer { conversation: turn.conversation });
            }
            self.submit(&turn).map_err(|error| error.in_policy("taking a turn"))?;
        }
        let completions = self
            .generator
            .advance()
            .map_err(|error| AgentError::from(error).in_policy("generating"))?;
        let mut replies = completions
            .into_iter()
            .map(|completion| self.reply(completion))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| error.in_policy("reading a reply"))?;
        replies.sort_by_key(|reply| reply.conversation);
        Ok(replies)
    }
}

impl Policy for LlamaPolicy {
    fn step(&mut self, turns: Vec<Turn>) -> Result<Vec<Reply>, PolicyError> {
        let replies = self.take_and_generate(turns);
        if replies.is_err() {
            // Replies that were ready are gone: no conversation can go on as if they were there.
            self.reset();
        }
        replies
    }

    fn close(&mut self, conversation: ConversationId) {
        if self.conversations.remove(&conversation).is_some() {
            self.generator.close(conversation.0);
        }
    }

    fn reset(&mut self) {
        // Keys and values of closed conversations go too: what follows begins as if nothing had
        // been, whatever was generated before.
        self.conversations.clear();
        self.generator.clear();
    }
}
