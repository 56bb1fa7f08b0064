//! Continuous batching: every step computes one batch of rows, of prompts and of generated tokens
//! alike; sequences leave it when they finish and waiting ones take their place.

mod attend;
mod cache;
mod request;
mod sample;

use std::collections::{BTreeMap, VecDeque};

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

pub use request::{Completion, Finish, GeneratorConfig, Request};

use crate::LlamaError;
use crate::generate::attend::attend;
use crate::generate::cache::SequenceCache;
use crate::generate::sample::{Choice, SMALLEST_TEMPERATURE, sample};
use crate::model::{Llama, heads};
use crate::ops::{Direction, rms_norm};

/// Shared tokens below which a prefix is computed again instead of waited for and copied.
const SHORTEST_SHARED_PREFIX: usize = 8;

/// Continues many sequences at once with one model.
///
/// Sequences stay open between turns and keep their keys and values, so that a turn computes its
/// own tokens only; [`Generator::close`] frees them. A new sequence copies the keys and values of
/// the longest prefix that it shares with an open one.
///
/// The same model, configuration and order of calls give the same tokens. Another order or batch
/// size may round differently, and so choose differently where two tokens are all but equally
/// likely; a generator with no open sequence behaves like a new one.
///
/// Keys and values lie in the host's memory: on a GPU every layer of every step makes a round
/// trip.
#[derive(Debug)]
pub struct Generator {
    model: Llama,
    config: GeneratorConfig,
    context_length: usize,
    sequences: BTreeMap<u64, Sequence>,
    waiting: VecDeque<Request>,
    running: Vec<Running>,
    n_computed: u64,
}

#[derive(Debug)]
struct Sequence {
    /// All tokens; the last ones may not be in the cache yet.
    tokens: Vec<u32>,
    cache: SequenceCache,
}

/// A request that generates.
#[derive(Debug)]
struct Running {
    request: Request,
    tokens: Vec<u32>,
    log_probabilities: Vec<f32>,
}

/// Rows of one sequence within a step.
struct Chunk {
    /// Position within `running`.
    running: usize,
    sequence: u64,
    /// The first row's position in its sequence.
    position: usize,
    n_rows: usize,
    /// Whether the sequence's last token is among them, so that the next can be chosen.
    complete: bool,
}

impl Generator {
    /// A generator without sequences.
    ///
    /// # Errors
    ///
    /// Where the configuration holds no sequence or token, or more than the model can place.
    pub fn new(model: Llama, config: GeneratorConfig) -> Result<Self, LlamaError> {
        let longest = model.config().max_position_embeddings;
        let context_length = config.context_length.unwrap_or(longest);
        let checks = [
            ("max_sequences", config.max_sequences, config.max_sequences > 0, usize::MAX),
            ("prefill_tokens", config.prefill_tokens, config.prefill_tokens > 0, usize::MAX),
            ("context_length", context_length, (1..=longest).contains(&context_length), longest),
        ];
        for (field, found, fine, most) in checks {
            if !fine {
                let expected = if most == usize::MAX {
                    "at least 1".to_owned()
                } else {
                    format!("between 1 and max_position_embeddings, {most}")
                };
                let found = found.to_string();
                return Err(LlamaError::ConfigValue { field, found, expected });
            }
        }
        Ok(Self {
            // Weights without gradients, whatever device they were loaded for.
            model: model.valid(),
            config,
            context_length,
            sequences: BTreeMap::new(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            n_computed: 0,
        })
    }

    /// The model.
    pub fn model(&self) -> &Llama {
        &self.model
    }

    /// Takes a request; it is worked on in [`Generator::advance`].
    ///
    /// # Errors
    ///
    /// Where its numbers are impossible, a token is beyond the vocabulary, or the sequence is still
    /// generating. The generator is then as it was.
    pub fn submit(&mut self, request: Request) -> Result<(), LlamaError> {
        let sequence = request.sequence;
        let fail = |reason: String| Err(LlamaError::Request { sequence, reason });
        if self.is_busy(sequence) {
            return fail("it is still generating: wait for its completion".to_owned());
        }
        if request.max_new_tokens == 0 {
            return fail("max_new_tokens is 0, expected at least 1".to_owned());
        }
        let temperature = request.temperature;
        let is_usable = temperature >= SMALLEST_TEMPERATURE && temperature.is_finite();
        if !is_usable && temperature != 0.0 {
            return fail(format!(
                "temperature is {temperature:e}, expected a finite number of at least \
                 {SMALLEST_TEMPERATURE:e}, or 0 for the likeliest token"
            ));
        }
        if !(request.top_p > 0.0 && request.top_p <= 1.0) {
            return fail(format!("top_p is {}, expected above 0, at most 1", request.top_p));
        }
        let open = self.sequences.get(&sequence);
        let has_next = open.is_some_and(|open| open.tokens.len() > open.cache.n_positions());
        if request.tokens.is_empty() && !has_next {
            return fail("it has no tokens to continue from".to_owned());
        }
        self.model.check(&request.tokens)?;
        self.waiting.push_back(request);
        Ok(())
    }

    /// Works until at least one request is complete; empty only where none is waiting.
    ///
    /// # Errors
    ///
    /// None at present; room for devices that fail.
    pub fn advance(&mut self) -> Result<Vec<Completion>, LlamaError> {
        let mut completions = Vec::new();
        loop {
            self.admit(&mut completions);
            if self.running.is_empty() || !completions.is_empty() {
                return Ok(completions);
            }
            let chunks = self.plan();
            let logits = self.compute(&chunks);
            self.choose(&chunks, &logits);
            self.finish(&mut completions);
        }
    }

    /// Forgets a sequence: its cache, and its request if it has one.
    pub fn close(&mut self, sequence: u64) {
        self.sequences.remove(&sequence);
        self.waiting.retain(|request| request.sequence != sequence);
        self.running.retain(|running| running.request.sequence != sequence);
    }

    /// All tokens of an open sequence, prompts and answers.
    pub fn tokens(&self, sequence: u64) -> Option<&[u32]> {
        self.sequences.get(&sequence).map(|open| open.tokens.as_slice())
    }

    /// Tokens that went through the model since the generator was made. What it took from a shared
    /// prefix or an earlier turn is not among them: this tells how much of the work was saved.
    pub fn n_computed_tokens(&self) -> u64 {
        self.n_computed
    }

    fn is_busy(&self, sequence: u64) -> bool {
        self.waiting.iter().any(|request| request.sequence == sequence)
            || self.running.iter().any(|running| running.request.sequence == sequence)
    }

    /// Lets waiting requests in while there is room.
    fn admit(&mut self, completions: &mut Vec<Completion>) {
        while self.running.len() < self.config.max_sequences {
            let Some(mut request) = self.waiting.pop_front() else { return };
            let n_layers = self.model.layers.len();
            let open = self.sequences.entry(request.sequence).or_insert_with(|| Sequence {
                tokens: Vec::new(),
                cache: SequenceCache::new(n_layers),
            });
            if open.tokens.len() + request.tokens.len() >= self.context_length {
                if open.tokens.is_empty() {
                    self.sequences.remove(&request.sequence);
                }
                completions.push(Completion {
                    sequence: request.sequence,
                    tokens: Vec::new(),
                    log_probabilities: Vec::new(),
                    finish: Finish::ContextFull,
                });
                continue;
            }
            open.tokens.append(&mut request.tokens);
            let (tokens, log_probabilities) = (Vec::new(), Vec::new());
            self.running.push(Running { request, tokens, log_probabilities });
        }
    }

    /// Which rows the next step computes: one of each sequence that generates, and prompts up to
    /// the limit.
    fn plan(&mut self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut prefill_left = self.config.prefill_tokens;
        for running in 0..self.running.len() {
            let sequence = self.running[running].request.sequence;
            if self.waits_for_prefix(running, sequence) {
                continue;
            }
            let Some(open) = self.sequences.get(&sequence) else { continue };
            let position = open.cache.n_positions();
            let n_missing = open.tokens.len() - position;
            let n_rows = if n_missing == 1 { 1 } else { n_missing.min(prefill_left) };
            if n_missing > 1 {
                prefill_left -= n_rows;
            }
            if n_rows > 0 {
                let complete = n_rows == n_missing;
                chunks.push(Chunk { running, sequence, position, n_rows, complete });
            }
        }
        chunks
    }

    /// Takes over the longest prefix that a new sequence shares with another; true where a
    /// sequence before it in the batch is still computing more of that prefix than is there.
    fn waits_for_prefix(&mut self, running: usize, sequence: u64) -> bool {
        let Some(own) = self.sequences.get(&sequence) else { return false };
        if own.cache.n_positions() > 0 {
            return false;
        }
        // The last token is always computed here: the next one is chosen from its row.
        let most = own.tokens.len() - 1;
        let shared = |other: &Sequence| {
            let pairs = own.tokens[..most].iter().zip(&other.tokens);
            pairs.take_while(|(a, b)| a == b).count()
        };
        let mut best = (0, None);
        for (name, other) in self.sequences.iter().filter(|(name, _)| **name != sequence) {
            let ready = shared(other).min(other.cache.n_positions());
            if ready > best.0 {
                best = (ready, Some(name));
            }
        }
        let earlier = self.running[..running].iter();
        let earlier = earlier.filter_map(|other| self.sequences.get(&other.request.sequence));
        let coming = earlier.map(shared).max().unwrap_or(0);
        if coming >= best.0 + SHORTEST_SHARED_PREFIX {
            return true;
        }
        if best.0 >= SHORTEST_SHARED_PREFIX {
            let heads = heads(self.model.config());
            let donor = best.1.and_then(|name| self.sequences.get(name));
            let cache = donor.map(|donor| donor.cache.prefix(best.0, heads));
            if let (Some(own), Some(cache)) = (self.sequences.get_mut(&sequence), cache) {
                own.cache = cache;
            }
        }
        false
    }

    /// Runs the rows of all chunks through the model, and returns the logits of the last row of
    /// each complete one.
    fn compute(&mut self, chunks: &[Chunk]) -> Vec<f32> {
        let (mut tokens, mut last_rows) = (Vec::new(), Vec::new());
        for chunk in chunks {
            if let Some(open) = self.sequences.get(&chunk.sequence) {
                let positions = chunk.position..chunk.position + chunk.n_rows;
                tokens.extend_from_slice(&open.tokens[positions]);
            }
            if chunk.complete {
                last_rows.push(tokens.len() as i32 - 1);
            }
        }
        self.n_computed += tokens.len() as u64;
        let model = &self.model;
        let mut x = model.embed(&tokens);
        for (index, layer) in model.layers.iter().enumerate() {
            let sequences = &mut self.sequences;
            x = layer.forward_with(x, model.config(), |qkv, _| {
                attend_chunks(model, sequences, chunks, index, qkv)
            });
        }
        for chunk in chunks {
            if let Some(open) = self.sequences.get_mut(&chunk.sequence) {
                open.cache.advance(chunk.n_rows);
            }
        }
        if last_rows.is_empty() {
            return Vec::new();
        }
        if last_rows.len() < tokens.len() {
            let n = last_rows.len();
            let rows = TensorData::new(last_rows, [n]);
            x = x.clone().select(0, Tensor::<1, Int>::from_data(rows, &x.device()));
        }
        let normed = rms_norm(x, model.norm.val(), model.config().rms_norm_eps);
        host_values(model.logits(normed))
    }

    /// Chooses the next token of each complete chunk.
    fn choose(&mut self, chunks: &[Chunk], logits: &[f32]) {
        let complete = chunks.iter().filter(|chunk| chunk.complete);
        let rows = logits.chunks_exact(self.model.config().vocab_size);
        for (chunk, logits) in complete.zip(rows) {
            let running = &mut self.running[chunk.running];
            let choice = Choice {
                temperature: running.request.temperature,
                top_p: running.request.top_p,
                seed: running.request.seed,
                index: running.tokens.len(),
            };
            let (token, log_probability) = sample(logits, choice);
            running.tokens.push(token);
            running.log_probabilities.push(log_probability);
            if let Some(open) = self.sequences.get_mut(&chunk.sequence) {
                open.tokens.push(token);
            }
        }
    }

    /// Takes finished requests out of the batch.
    fn finish(&mut self, completions: &mut Vec<Completion>) {
        let (sequences, config) = (&self.sequences, &self.config);
        let ended = self.running.extract_if(.., |running| {
            let length = sequences.get(&running.request.sequence).map_or(0, |s| s.tokens.len());
            finish_of(running, length, self.context_length, &config.stop_tokens).is_some()
        });
        for running in ended {
            let sequence = running.request.sequence;
            let length = sequences.get(&sequence).map_or(0, |open| open.tokens.len());
            let finish = finish_of(&running, length, self.context_length, &config.stop_tokens);
            completions.push(Completion {
                sequence,
                tokens: running.tokens,
                log_probabilities: running.log_probabilities,
                finish: finish.unwrap_or(Finish::Length),
            });
        }
    }
}

/// Why a request ends here, if it does.
fn finish_of(
    running: &Running,
    length: usize,
    context_length: usize,
    stop_tokens: &[u32],
) -> Option<Finish> {
    let last = running.tokens.last()?;
    if stop_tokens.contains(last) {
        Some(Finish::Stop)
    } else if running.tokens.len() >= running.request.max_new_tokens {
        Some(Finish::Length)
    } else if length >= context_length {
        Some(Finish::ContextFull)
    } else {
        None
    }
}

/// Attention of one layer: each chunk's keys and values join its sequence's cache, and each row
/// attends to its own sequence.
fn attend_chunks(
    model: &Llama,
    sequences: &mut BTreeMap<u64, Sequence>,
    chunks: &[Chunk],
    layer: usize,
    qkv: Tensor<2>,
) -> Tensor<2> {
    let (heads, window) = (heads(model.config()), model.config().sliding_window());
    let (device, n) = (qkv.device(), qkv.dims()[0]);
    let mut rows = host_values(qkv);
    let mut output = vec![0.0; n * heads.n_query * heads.dim];
    let (mut rest, mut rest_output) = (rows.as_mut_slice(), output.as_mut_slice());
    for chunk in chunks {
        let (rows, behind) = rest.split_at_mut(chunk.n_rows * heads.qkv_width());
        let width = chunk.n_rows * heads.n_query * heads.dim;
        let (output, behind_output) = rest_output.split_at_mut(width);
        (rest, rest_output) = (behind, behind_output);
        let positions = chunk.position..chunk.position + chunk.n_rows;
        model.shape.rotary.apply(rows, heads, positions, Direction::Forward);
        if let Some(open) = sequences.get_mut(&chunk.sequence) {
            let cache = open.cache.layer(layer);
            cache.append(rows, heads, chunk.position);
            attend(rows, cache, heads, window, chunk.position, output);
        }
    }
    Tensor::from_data(TensorData::new(output, [n, heads.n_query * heads.dim]), &device)
}

/// A tensor's values; on the CPU they are moved out where nobody else holds them.
fn host_values(tensor: Tensor<2>) -> Vec<f32> {
    // All our models are `f32`, where this cannot fail; an empty slice would be seen at once.
    tensor.into_data().try_into_vec::<f32>().unwrap_or_default()
}
