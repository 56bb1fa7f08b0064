//! Who computes what next: requests are let in, and rows chosen for each step.

use super::{Chunk, Completion, Finish, Generator, Request, Running, Start};
use crate::generate::tree::{Found, Held, Partial, n_common};
use crate::ops::simd::LANES;

/// Shared tokens below which a prefix is computed again instead of waited for.
const SHORTEST_SHARED_PREFIX: usize = 8;

impl Generator {
    /// Lets waiting requests in, in their order, while there is room for them and their keys and
    /// values.
    pub(super) fn admit(&mut self, completions: &mut Vec<Completion>) {
        while self.running.len() < self.config.max_sequences {
            let Some(request) = self.waiting.front() else { return };
            let sequence = request.sequence;
            let earlier = self.sequences.get(&sequence).map_or(&[][..], Vec::as_slice);
            let tokens = [earlier, &request.tokens].concat();
            if tokens.len() >= self.context_length {
                self.waiting.pop_front();
                completions.push(Completion {
                    sequence,
                    tokens: Vec::new(),
                    log_probabilities: Vec::new(),
                    finish: Finish::ContextFull,
                });
                continue;
            }
            let most_blocks = self.most_blocks(request);
            let found = self.cache.find(readable(&tokens));
            let promised: usize =
                self.running.iter().map(|other| other.most_blocks - other.held.blocks.len()).sum();
            let needed = self.cache.n_unheld(&found.path) + most_blocks - found.path.len();
            if self.cache.n_pinned() + promised + needed > self.cache.pool.max_blocks() {
                return;
            }
            let start = if earlier.is_empty() { Start::New } else { Start::Resumed };
            let Some(request) = self.waiting.pop_front() else { return };
            let mut held = Held::default();
            self.cache.hold(&mut held, &found.path);
            self.sequences.insert(sequence, tokens);
            let (tokens, log_probabilities) = (Vec::new(), Vec::new());
            self.running.push(Running {
                request,
                tokens,
                log_probabilities,
                is_stopped: false,
                held,
                most_blocks,
                start,
            });
        }
    }

    /// Blocks of a request's sequence if it generates all it may.
    pub(super) fn most_blocks(&self, request: &Request) -> usize {
        let n_open = self.sequences.get(&request.sequence).map_or(0, Vec::len);
        let n = (n_open + request.tokens.len()).saturating_add(request.max_new_tokens);
        n.min(self.context_length).div_ceil(LANES)
    }

    /// Which rows the next step computes: one of each sequence that generates, and prompts up to
    /// the limit.
    pub(super) fn plan(&mut self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut prefill_left = self.config.prefill_tokens;
        for running in 0..self.running.len() {
            let sequence = self.running[running].request.sequence;
            if self.waits_for_prefix(running, sequence) {
                continue;
            }
            let Some(tokens) = self.sequences.get(&sequence) else { continue };
            let held = &mut self.running[running].held;
            let position = held.n_positions;
            let n_missing = tokens.len() - position;
            let n_rows = if n_missing == 1 { 1 } else { n_missing.min(prefill_left) };
            if n_missing > 1 {
                prefill_left -= n_rows;
            }
            if n_rows > 0 {
                let complete = n_rows == n_missing;
                self.cache.extend(held, n_rows);
                chunks.push(Chunk { running, sequence, position, n_rows, complete });
            }
        }
        chunks
    }

    /// Takes over the longest prefix that a request shares with what is there; true where one
    /// before it in the batch is still computing more of that prefix.
    fn waits_for_prefix(&mut self, running: usize, sequence: u64) -> bool {
        let start = self.running[running].start;
        if start == Start::Known {
            return false;
        }
        let Some(tokens) = self.sequences.get(&sequence) else { return false };
        let tokens = readable(tokens);
        let mut found = self.cache.find(tokens);
        let mut coming = 0;
        for (index, other) in self.running.iter().enumerate().filter(|(i, _)| *i != running) {
            let Some(others) = self.sequences.get(&other.request.sequence) else { continue };
            let n_shared = n_common(others, tokens);
            if index < running {
                coming = coming.max(n_shared);
            }
            use_unfinished_block(&mut found, &other.held, n_shared);
        }
        let held = &mut self.running[running].held;
        self.cache.hold(held, &found.path);
        if coming >= found.n_positions() + SHORTEST_SHARED_PREFIX {
            return true;
        }
        if let Some(partial) = found.partial {
            self.cache.begin_with(held, partial, start == Start::Resumed);
        }
        self.running[running].start = Start::Known;
        false
    }
}

/// The tokens whose keys and values may be taken from elsewhere: the last one is always computed,
/// because the next one is chosen from its row.
fn readable(tokens: &[u32]) -> &[u32] {
    tokens.split_last().map_or(&[], |(_, rest)| rest)
}

/// Prefers the block that another sequence is filling where more of it fits.
fn use_unfinished_block(found: &mut Found, other: &Held, n_shared: usize) {
    let n_full = found.path.len();
    let is_next = other.n_shared == n_full && other.blocks[..n_full] == found.path;
    let n_fitting = n_shared.min(other.n_positions).saturating_sub(n_full * LANES);
    if is_next
        && n_fitting > found.partial.map_or(0, |partial| partial.n_positions)
        && let Some(block) = other.blocks.get(n_full)
    {
        found.partial = Some(Partial { block: *block, n_positions: n_fitting });
    }
}
