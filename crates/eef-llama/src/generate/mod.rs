//! Continuous batching: every step computes one batch of rows, of prompts and of generated tokens
//! alike; sequences leave it when they finish and waiting ones take their place.

mod attend;
mod device;
mod engine;
mod pool;
mod request;
mod sample;
mod schedule;
mod tree;

use std::collections::{BTreeMap, VecDeque};

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

pub use engine::InferenceModel;
pub use request::{Completion, Finish, GeneratorConfig, Request};

use crate::generate::engine::Scratch;
use crate::generate::pool::{Span, block_values};
use crate::generate::sample::{Choice, sample};
use crate::generate::tree::{BlockTree, Held};
use crate::model::heads;
use crate::{LlamaConfig, LlamaError};

/// Continues many sequences at once with one model.
///
/// Sequences stay open between turns. Keys and values lie in blocks of 16 positions under a tree
/// of token prefixes: whoever begins with the same tokens reads the same blocks, nothing is copied
/// but the beginning of one block where they part, and a turn computes its own tokens only. What no
/// request is using, of closed sequences too, stays until
/// [`max_cache_bytes`](GeneratorConfig::max_cache_bytes) are full and then goes, least recently
/// used first; where it is needed again it is computed again.
///
/// On the CPU, in `f32`, an answer depends on its sequence's tokens and its request alone, to the last bit:
/// not on what else is generated at the time, nor on batch sizes, threads, budgets or evictions,
/// because every value is computed by the same additions in the same order. On other devices, and in
/// `bfloat16`, the same configuration and order of calls since it was made or
/// [cleared](Self::clear) must do, and on GPUs the same choices of the autotuner too: products of
/// another number of rows may round differently there, and so choose differently where two tokens
/// are all but equally likely.
///
/// Keys and values lie where the model lies, in its precision; tokens are chosen on the host.
#[derive(Debug)]
pub struct Generator {
    model: InferenceModel,
    config: GeneratorConfig,
    context_length: usize,
    /// All tokens of each open sequence; the last ones may not be in the cache.
    sequences: BTreeMap<u64, Vec<u32>>,
    cache: BlockTree,
    waiting: VecDeque<Request>,
    running: Vec<Running>,
    scratch: Scratch,
    n_computed: u64,
}

/// A request that generates.
#[derive(Debug)]
struct Running {
    request: Request,
    tokens: Vec<u32>,
    log_probabilities: Vec<f32>,
    /// Whether the caller has said that it ends here.
    is_stopped: bool,
    held: Held,
    /// Blocks that it needs if it generates all it may.
    most_blocks: usize,
    start: Start,
}

impl Running {
    /// How its next token is chosen.
    fn choice(&self) -> Choice {
        Choice {
            temperature: self.request.temperature,
            top_p: self.request.top_p,
            top_k: self.request.top_k,
            min_p: self.request.min_p,
            seed: self.request.seed,
            index: self.tokens.len(),
        }
    }
}

/// What a request has of its sequence's earlier tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Its sequence is new: it looks for others' prefixes until its first row is computed.
    New,
    /// Its sequence pauses since an earlier turn.
    Resumed,
    /// It has looked.
    Known,
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
    pub fn new(
        model: impl Into<InferenceModel>,
        config: GeneratorConfig,
    ) -> Result<Self, LlamaError> {
        let model = model.into();
        let shape = model.config();
        let longest = shape.max_position_embeddings;
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
                return Err(LlamaError::GeneratorConfig { field, found, expected });
            }
        }
        let cache = BlockTree::new(model.pool(config.max_cache_bytes));
        if cache.pool.max_blocks() == 0 {
            return Err(LlamaError::GeneratorConfig {
                field: "max_cache_bytes",
                found: config.max_cache_bytes.to_string(),
                expected: format!("at least one block's {}", cache.pool.block_bytes()),
            });
        }
        Ok(Self {
            cache,
            model,
            config,
            context_length,
            sequences: BTreeMap::new(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            scratch: Scratch::default(),
            n_computed: 0,
        })
    }

    /// The model.
    pub fn model(&self) -> &InferenceModel {
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
        if let Some(fault) = request.fault() {
            return fail(fault);
        }
        let n_open = self.sequences.get(&sequence).map_or(0, Vec::len);
        if request.tokens.is_empty() && n_open == 0 {
            return fail("it has no tokens to continue from".to_owned());
        }
        let (n_blocks, most) = (self.most_blocks(&request), self.cache.pool.max_blocks());
        if n_blocks > most {
            let block = self.cache.pool.block_bytes();
            return fail(format!(
                "its {n_open} + {} tokens and max_new_tokens, {}, may need {} bytes of keys and \
                 values, expected at most max_cache_bytes, {}: raise it, or ask for fewer tokens",
                request.tokens.len(),
                request.max_new_tokens,
                n_blocks * block,
                self.config.max_cache_bytes,
            ));
        }
        self.model.shape().check(&request.tokens)?;
        self.waiting.push_back(request);
        Ok(())
    }

    /// Works until at least one request is complete; empty only where none is waiting.
    ///
    /// # Errors
    ///
    /// [`LlamaError::NotFinite`] where the model's logits are no numbers; the generator must be
    /// [cleared](Self::clear) then.
    pub fn advance(&mut self) -> Result<Vec<Completion>, LlamaError> {
        self.advance_until(&mut |_, _| false)
    }

    /// As [`advance`](Self::advance), and ends an answer where `stops` says so of its sequence and
    /// all tokens generated so far: with [`Finish::Stop`], and the last of them part of it. So are
    /// answers ended by what they say, which tokens alone do not tell.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance).
    pub fn advance_until(
        &mut self,
        stops: &mut dyn FnMut(u64, &[u32]) -> bool,
    ) -> Result<Vec<Completion>, LlamaError> {
        let mut completions = Vec::new();
        loop {
            self.admit(&mut completions);
            if self.running.is_empty() || !completions.is_empty() {
                return Ok(completions);
            }
            let chunks = self.plan();
            self.compute(&chunks);
            let logits = std::mem::take(&mut self.scratch.logits);
            self.choose(&chunks, &logits)?;
            self.scratch.logits = logits;
            for chunk in chunks.iter().filter(|chunk| chunk.complete) {
                let running = &mut self.running[chunk.running];
                running.is_stopped = stops(chunk.sequence, &running.tokens);
            }
            self.finish(&mut completions);
        }
    }

    /// Forgets a sequence, and its request if it has one. Its keys and values stay as long as there
    /// is room, for others that begin alike.
    pub fn close(&mut self, sequence: u64) {
        self.waiting.retain(|request| request.sequence != sequence);
        let tokens = self.sequences.remove(&sequence).unwrap_or_default();
        for ended in self.running.extract_if(.., |running| running.request.sequence == sequence) {
            self.cache.pause(&ended.held, &tokens);
        }
    }

    /// Forgets all sequences, requests, keys and values: from now on it behaves like a new one.
    pub fn clear(&mut self) {
        self.sequences.clear();
        self.waiting.clear();
        self.running.clear();
        self.cache.clear();
    }

    /// All tokens of an open sequence, prompts and answers.
    pub fn tokens(&self, sequence: u64) -> Option<&[u32]> {
        self.sequences.get(&sequence).map(Vec::as_slice)
    }

    /// Bytes that keys and values of a sequence take in `f32`; `usize::MAX` for more than can be
    /// counted.
    pub fn cache_bytes_of(model: &LlamaConfig, n_tokens: usize) -> usize {
        let n_blocks = n_tokens.div_ceil(crate::ops::simd::LANES);
        let block_bytes = block_values(model.num_hidden_layers, heads(model)) * size_of::<f32>();
        n_blocks.saturating_mul(block_bytes)
    }

    /// Bytes allocated for keys and values; never more than
    /// [`max_cache_bytes`](GeneratorConfig::max_cache_bytes). On a GPU attention gathers at most
    /// 65,536 positions of one layer besides.
    pub fn n_cache_bytes(&self) -> usize {
        self.cache.pool.n_bytes()
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

    /// Runs the rows of all chunks through the model, and leaves the logits of the last row of each
    /// complete one in `scratch`.
    fn compute(&mut self, chunks: &[Chunk]) {
        let (mut tokens, mut last_rows) = (Vec::new(), Vec::new());
        for chunk in chunks {
            if let Some(all) = self.sequences.get(&chunk.sequence) {
                tokens.extend_from_slice(&all[chunk.position..chunk.position + chunk.n_rows]);
            }
            if chunk.complete {
                last_rows.push(tokens.len() - 1);
            }
        }
        self.n_computed += tokens.len() as u64;
        let spans = chunks.iter().map(|chunk| {
            let blocks = self.running[chunk.running].held.blocks.as_slice();
            Span { blocks, position: chunk.position, n_rows: chunk.n_rows }
        });
        let spans: Vec<Span<'_>> = spans.collect();
        let (memory, scratch) = (&mut self.cache.pool.memory, &mut self.scratch);
        self.model.logits(&tokens, &spans, &last_rows, memory, scratch);
        for chunk in chunks {
            if let Some(all) = self.sequences.get(&chunk.sequence) {
                self.cache.advance(&mut self.running[chunk.running].held, chunk.n_rows, all);
            }
        }
    }

    /// Chooses the next token of each complete chunk.
    fn choose(&mut self, chunks: &[Chunk], logits: &[f32]) -> Result<(), LlamaError> {
        let complete: Vec<&Chunk> = chunks.iter().filter(|chunk| chunk.complete).collect();
        let vocabulary = self.model.shape().config.vocab_size;
        let running = &self.running;
        let chosen: Vec<(u32, f32)> = logits
            .par_chunks_exact(vocabulary)
            .zip(&complete)
            .map(|(logits, chunk)| sample(logits, running[chunk.running].choice()))
            .collect();
        for (chunk, (token, log_probability)) in complete.into_iter().zip(chosen) {
            let running = &mut self.running[chunk.running];
            let open = self.sequences.entry(chunk.sequence).or_default();
            if !log_probability.is_finite() {
                let (sequence, n_tokens) = (chunk.sequence, open.len());
                return Err(LlamaError::NotFinite { sequence, n_tokens });
            }
            running.tokens.push(token);
            running.log_probabilities.push(log_probability);
            open.push(token);
        }
        Ok(())
    }

    /// Takes finished requests out of the batch.
    fn finish(&mut self, completions: &mut Vec<Completion>) {
        let (sequences, config) = (&self.sequences, &self.config);
        let ended = self.running.extract_if(.., |running| {
            let length = sequences.get(&running.request.sequence).map_or(0, Vec::len);
            finish_of(running, length, self.context_length, &config.stop_tokens).is_some()
        });
        for running in ended {
            let sequence = running.request.sequence;
            let tokens = sequences.get(&sequence).map_or(&[][..], Vec::as_slice);
            self.cache.pause(&running.held, tokens);
            let length = tokens.len();
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
    let ends_so = |stop: &Vec<u32>| running.tokens.ends_with(stop);
    let is_stopped = running.is_stopped || stop_tokens.contains(last);
    if is_stopped || running.request.stop_sequences.iter().any(ends_so) {
        Some(Finish::Stop)
    } else if running.tokens.len() >= running.request.max_new_tokens {
        Some(Finish::Length)
    } else if length >= context_length {
        Some(Finish::ContextFull)
    } else {
        None
    }
}
