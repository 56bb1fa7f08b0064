//! Text in, text out: a model without an environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eef_chat::Encoder;
use eef_core::Message;
use eef_llama::{Completion, Finish, Generator, GeneratorConfig, InferenceModel, Request};

use crate::{AgentError, LoadOptions, model};

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
    /// As in [`Request::top_k`].
    pub top_k: Option<usize>,
    /// As in [`Request::min_p`].
    pub min_p: f32,
    /// Texts that end the continuation and are no part of it.
    pub stops: Vec<String>,
    /// As in [`Request::seed`].
    pub seed: u64,
}

impl CompletionRequest {
    /// The likeliest continuation.
    pub fn greedy(prompt: Prompt, max_new_tokens: usize) -> Self {
        let (temperature, top_p, top_k, min_p) = (0.0, 1.0, None, 0.0);
        let stops = Vec::new();
        Self { prompt, max_new_tokens, temperature, top_p, top_k, min_p, stops, seed: 0 }
    }
}

/// A continuation.
#[derive(Clone, Debug, PartialEq)]
pub struct TextCompletion {
    /// Which request it is of, counted from 0.
    pub request: usize,
    /// What was generated, without the token or text that ended it.
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
/// use eef_agent::{CompletionRequest, LoadOptions, Prompt, TextGenerator};
/// use eef_llama::GeneratorConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let json = train_bpe(std::iter::empty(), &BpeTraining::default())?;
/// # let tokenizer = std::sync::Arc::new(Tokenizer::from_bytes(json)?);
/// # let encoder = Encoder::new(tokenizer, ChatTemplate::compact())?;
/// # eef_agent::create_model(directory.path(), &eef_llama::LlamaConfig::tiny(1), &encoder, 1)?;
/// let mut generator = TextGenerator::open(
///     directory.path(),
///     LoadOptions::default(),
///     GeneratorConfig::default(),
/// )?;
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
    /// Opens a model's directory.
    ///
    /// # Errors
    /// [`AgentError`] where the model, its tokenizer, its template or the adapter cannot be read,
    /// or do not fit.
    pub fn open(
        directory: &Path,
        options: LoadOptions<'_>,
        config: GeneratorConfig,
    ) -> Result<Self, AgentError> {
        let (llama, encoder) = model::open(directory, options)?;
        Self::new(llama, encoder, config)
    }

    /// Joins a model and an encoder. A text ends with the template's end of turn, one of the model's
    /// own `eos_token_id`, or the configuration's stop tokens.
    ///
    /// # Errors
    /// [`AgentError::Llama`] where the model cannot generate so.
    pub fn new(
        model: impl Into<InferenceModel>,
        encoder: Encoder,
        config: GeneratorConfig,
    ) -> Result<Self, AgentError> {
        let model = model.into();
        let mut stop_tokens: BTreeSet<u32> = model.config().eos_token_ids().into_iter().collect();
        stop_tokens.insert(encoder.stop_token());
        stop_tokens.extend(&config.stop_tokens);
        let config =
            GeneratorConfig { stop_tokens: stop_tokens.iter().copied().collect(), ..config };
        Ok(Self { generator: Generator::new(model, config)?, encoder, stop_tokens })
    }

    /// The model.
    pub fn model(&self) -> &InferenceModel {
        self.generator.model()
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
        // Whatever happened, the next call begins with nothing, and what it gives is its own.
        self.generator.clear();
        completions
    }

    fn work(
        &mut self,
        requests: impl IntoIterator<Item = CompletionRequest>,
        progress: &mut dyn FnMut(&TextCompletion) -> bool,
    ) -> Result<Vec<TextCompletion>, AgentError> {
        let mut asked = Vec::new();
        for (sequence, request) in requests.into_iter().enumerate() {
            let tokens = self.tokens(&request.prompt)?;
            self.generator.submit(Request {
                tokens: tokens.clone(),
                temperature: request.temperature,
                top_p: request.top_p,
                top_k: request.top_k,
                min_p: request.min_p,
                seed: request.seed,
                ..Request::greedy(sequence as u64, Vec::new(), request.max_new_tokens)
            })?;
            let is_text = matches!(request.prompt, Prompt::Text(_));
            asked.push(Asked { tokens, is_text, stops: request.stops });
        }
        let (mut completed, mut failure) = (BTreeMap::new(), None);
        loop {
            let encoder = &self.encoder;
            let completions = self.generator.advance_until(&mut |sequence, tokens| {
                let of = &asked[sequence as usize];
                of.ends_with_stop(encoder, tokens).unwrap_or_else(|error| {
                    failure = Some(error);
                    true
                })
            })?;
            if let Some(error) = failure.take() {
                return Err(error);
            }
            if completions.is_empty() {
                break;
            }
            let mut goes_on = true;
            for completion in completions {
                self.generator.close(completion.sequence);
                let of = &asked[completion.sequence as usize];
                let completion = self.text_of(completion, of)?;
                goes_on &= progress(&completion);
                completed.insert(completion.request, completion);
            }
            if !goes_on {
                break;
            }
        }
        Ok(completed.into_values().collect())
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

    fn text_of(&self, completion: Completion, asked: &Asked) -> Result<TextCompletion, AgentError> {
        let spoken = match completion.tokens.split_last() {
            Some((last, rest)) if self.stop_tokens.contains(last) => rest,
            _ => &completion.tokens,
        };
        let tokenizer = self.encoder.tokenizer();
        let mut text = if asked.is_text {
            tokenizer.decode_after(&asked.tokens, spoken)?
        } else {
            self.encoder.template().said(&tokenizer.decode(spoken)?).to_owned()
        };
        if let Some(at) = asked.stops.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(at);
        }
        Ok(TextCompletion {
            request: completion.sequence as usize,
            text,
            n_prompt_tokens: asked.tokens.len(),
            log_probabilities: completion.log_probabilities,
            finish: completion.finish,
            token_ids: completion.tokens,
        })
    }
}

/// What is kept of a request while it is worked on.
struct Asked {
    tokens: Vec<u32>,
    is_text: bool,
    stops: Vec<String>,
}

impl Asked {
    /// Whether the last token completed one of the texts that end the continuation.
    fn ends_with_stop(&self, encoder: &Encoder, tokens: &[u32]) -> Result<bool, AgentError> {
        let Some(longest) = self.stops.iter().map(String::len).max() else { return Ok(false) };
        // A token has a byte at least: what the last one completes began so many before it.
        let (before, tail) = tokens.split_at(tokens.len().saturating_sub(longest + 1));
        let text = encoder.tokenizer().decode_after(before, tail)?;
        Ok(self.stops.iter().any(|stop| text.contains(stop.as_str())))
    }
}
