//! Text in, text out: a model without an environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eef_chat::Encoder;
use eef_core::Message;
use eef_llama::{Completion, Finish, Generator, GeneratorConfig, Llama, Request};

use crate::{AgentError, model};

/// What a text goes on from.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// A text, in which control tokens stand by name; nothing is put around it.
    Text(String),
    /// A conversation that ends with a user's message, in the model's chat template.
    Conversation(Vec<Message>),
}

/// Asks for one continuation.
#[derive(Clone, Debug, PartialEq)]
pub struct CompletionRequest {
    /// What to go on from.
    pub prompt: Prompt,
    /// Most tokens to generate.
    pub max_new_tokens: usize,
    /// As in [`Request::temperature`].
    pub temperature: f32,
    /// As in [`Request::top_p`].
    pub top_p: f32,
    /// As in [`Request::seed`].
    pub seed: u64,
}

impl CompletionRequest {
    /// The likeliest continuation.
    pub fn greedy(prompt: Prompt, max_new_tokens: usize) -> Self {
        Self { prompt, max_new_tokens, temperature: 0.0, top_p: 1.0, seed: 0 }
    }
}

/// A continuation.
#[derive(Clone, Debug, PartialEq)]
pub struct TextCompletion {
    /// Which request it is of, counted from 0.
    pub request: usize,
    /// What was generated, without the token that ended it.
    pub text: String,
    /// The ids, with that token.
    pub token_ids: Vec<u32>,
    /// The log-probability of each, as in [`Completion::log_probabilities`].
    pub log_probabilities: Vec<f32>,
    /// Tokens of the prompt.
    pub n_prompt_tokens: usize,
    /// Why it ended.
    pub finish: Finish,
}

/// A model that continues texts and conversations, many at once.
///
/// ```
/// # use eef_chat::{BpeTraining, ChatTemplate, Encoder, Tokenizer, train_bpe};
/// use eef_agent::{CompletionRequest, Prompt, TextGenerator};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let json = train_bpe(std::iter::empty(), &BpeTraining::default())?;
/// # let tokenizer = std::sync::Arc::new(Tokenizer::from_bytes(json)?);
/// # let encoder = Encoder::new(tokenizer, ChatTemplate::compact())?;
/// # eef_agent::create_model(directory.path(), &eef_llama::LlamaConfig::tiny(1), &encoder, 1)?;
/// let mut generator = TextGenerator::open(directory.path(), "cpu", 8)?;
/// let prompts = ["Once upon a time", "The capital of France is"];
/// let requests = prompts.map(|text| CompletionRequest::greedy(Prompt::Text(text.into()), 5));
/// for completion in generator.complete(requests, &mut |_| true)? {
///     println!("{}{}", prompts[completion.request], completion.text);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TextGenerator {
    generator: Generator,
    encoder: Encoder,
    /// Tokens that end a text.
    stop_tokens: BTreeSet<u32>,
}

impl TextGenerator {
    /// Opens a model's directory on a device such as `cpu`; at most `max_sequences` texts are
    /// generated at once.
    ///
    /// # Errors
    /// [`AgentError`] where the model, its tokenizer or its template cannot be read, or do not fit.
    pub fn open(
        directory: &Path,
        device_name: &str,
        max_sequences: usize,
    ) -> Result<Self, AgentError> {
        let (llama, encoder) = model::open(directory, device_name)?;
        Self::new(llama, encoder, max_sequences)
    }

    /// Joins a model and an encoder. A text ends with the template's end of turn or one of the model's
    /// own `eos_token_id`.
    ///
    /// # Errors
    /// [`AgentError::Llama`] where the model cannot generate so.
    pub fn new(llama: Llama, encoder: Encoder, max_sequences: usize) -> Result<Self, AgentError> {
        let mut stop_tokens: BTreeSet<u32> = llama.config().eos_token_ids().into_iter().collect();
        stop_tokens.insert(encoder.stop_token());
        let config = GeneratorConfig {
            max_sequences,
            stop_tokens: stop_tokens.iter().copied().collect(),
            ..GeneratorConfig::default()
        };
        Ok(Self { generator: Generator::new(llama, config)?, encoder, stop_tokens })
    }

    /// Continues every request, and gives the continuations in the order of the requests. `progress`
    /// is told of each that is complete, and stops the rest by returning false.
    ///
    /// # Errors
    /// [`AgentError`] where a request is impossible; a prompt longer than the model's context is
    /// completed with nothing.
    pub fn complete(
        &mut self,
        requests: impl IntoIterator<Item = CompletionRequest>,
        progress: &mut dyn FnMut(&TextCompletion) -> bool,
    ) -> Result<Vec<TextCompletion>, AgentError> {
        let completions = self.work(requests, progress);
        // Whatever happened, the next call begins with nothing.
        if let Ok((_, n_requests)) = &completions {
            (0..*n_requests).for_each(|sequence| self.generator.close(sequence as u64));
        }
        completions.map(|(completions, _)| completions)
    }

    fn work(
        &mut self,
        requests: impl IntoIterator<Item = CompletionRequest>,
        progress: &mut dyn FnMut(&TextCompletion) -> bool,
    ) -> Result<(Vec<TextCompletion>, usize), AgentError> {
        let mut n_prompt_tokens = Vec::new();
        for (sequence, request) in requests.into_iter().enumerate() {
            let tokens = self.tokens(&request.prompt)?;
            n_prompt_tokens.push(tokens.len());
            self.generator.submit(Request {
                tokens,
                temperature: request.temperature,
                top_p: request.top_p,
                seed: request.seed,
                ..Request::greedy(sequence as u64, Vec::new(), request.max_new_tokens)
            })?;
        }
        let mut completed = BTreeMap::new();
        loop {
            let completions = self.generator.advance()?;
            if completions.is_empty() {
                break;
            }
            let mut goes_on = true;
            for completion in completions {
                self.generator.close(completion.sequence);
                let completion = self.text_of(completion, &n_prompt_tokens)?;
                goes_on &= progress(&completion);
                completed.insert(completion.request, completion);
            }
            if !goes_on {
                break;
            }
        }
        Ok((completed.into_values().collect(), n_prompt_tokens.len()))
    }

    /// The ids of a prompt.
    fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, AgentError> {
        match prompt {
            Prompt::Text(text) => Ok(self.encoder.tokenizer().encode_with_special(text)?),
            Prompt::Conversation(messages) => {
                let mut conversation = self.encoder.start();
                for message in messages {
                    self.encoder.push(&mut conversation, message)?;
                }
                self.encoder.begin_reply(&mut conversation);
                Ok(conversation.token_ids().to_vec())
            }
        }
    }

    fn text_of(
        &self,
        completion: Completion,
        n_prompt_tokens: &[usize],
    ) -> Result<TextCompletion, AgentError> {
        let request = completion.sequence as usize;
        let spoken = match completion.tokens.split_last() {
            Some((last, rest)) if self.stop_tokens.contains(last) => rest,
            _ => &completion.tokens,
        };
        Ok(TextCompletion {
            request,
            text: self.encoder.tokenizer().decode(spoken)?,
            n_prompt_tokens: n_prompt_tokens.get(request).copied().unwrap_or(0),
            log_probabilities: completion.log_probabilities,
            finish: completion.finish,
            token_ids: completion.tokens,
        })
    }
}
