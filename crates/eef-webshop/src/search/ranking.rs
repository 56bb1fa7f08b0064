//! The best documents for some terms, without scoring those that cannot be among them.
//!
//! Documents are gone through in windows. In each, terms that could by themselves lift a document
//! among the best are added up; the rest, whose highest scores together stay below what that
//! takes, are looked at only for documents that they could still lift (MaxScore of Turtle and
//! Flood, 1995). What they could give at most is known for every block of 64 documents (as in the
//! block-max index of Ding and Suel, 2011). Bounds are never too low, so nothing is lost.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::{Hit, MANY};
use crate::bytes::Numbers;

/// Documents in a block.
pub(super) const BLOCK: usize = 64;
/// Documents in a window: their sums stay in the processor's cache. Tests have many windows.
const WINDOW: usize = if cfg!(test) { 4 * BLOCK } else { 128 * BLOCK };
/// How many postings are added up in the time that one document is looked up among them.
const ADDED_PER_LOOK_UP: usize = 5;
/// Counts below this have their scores in a table, of terms with so many documents.
const TABLED: usize = 4;
const WORTH_A_TABLE: usize = if cfg!(test) { 400 } else { 4_000 };
/// With so few documents that have anything, a window is cleared one by one.
const FEW_TOUCHED: usize = if cfg!(test) { 16 } else { 512 };
/// A query with fewer postings is answered before a first look at the rarest would pay.
const WORTH_A_LOOK: usize = if cfg!(test) { 1_000 } else { 100_000 };
/// How many postings a first look takes in, and how many documents it scores.
const LOOKED_AT: usize = if cfg!(test) { 600 } else { 24_000 };
const SCORED_FIRST: usize = 200;
/// What bounds are raised by, for what rounding takes away.
const ROOM: f64 = 1.0 + 1e-5;

/// What all documents have.
pub(super) struct Ranking<'a> {
    /// Lengths as Lucene rounds them.
    pub(super) lengths: &'a [u8],
    pub(super) inverse_norms: &'a [f32; 256],
    /// Counts above 254: term, document, count.
    pub(super) many: Numbers<'a>,
}

/// A term of a query.
pub(super) struct Term<'a> {
    number: u32,
    /// How often the query has it, times its inverse document frequency.
    weight: f32,
    documents: Numbers<'a>,
    counts: &'a [u8],
    /// Of frequent terms.
    blocks: Option<Blocks<'a>>,
    /// The scores of low counts, by count and length.
    table: Option<Box<[[f32; 256]; TABLED]>>,
    /// The highest score that it gives to a document.
    bound: f64,
    /// The first posting that was not gone through.
    next: usize,
    /// The postings in the window.
    here: Range<usize>,
}

/// Where a frequent term stands in each block.
#[derive(Clone, Copy)]
pub(super) struct Blocks<'a> {
    /// The first posting.
    pub(super) starts: Numbers<'a>,
    /// The highest saturation of term frequency, in [`steps`].
    pub(super) highest: &'a [u8],
}

/// A document's term frequency over length norm, saturated as BM25 does it, in 255ths, rounded up.
pub(super) fn steps(frequency: f32) -> u8 {
    (frequency / (1.0 + frequency) * 255.0).ceil() as u8
}

/// What a term gives to a document with this term frequency over length norm: Lucene's form of
/// BM25, whose rounding rises with `frequency` throughout.
fn score(weight: f32, frequency: f32) -> f32 {
    weight - weight / (1.0 + frequency)
}

impl<'a> Term<'a> {
    /// `highest` is the highest term frequency over length norm of its documents.
    pub(super) fn new(
        number: u32,
        weight: f32,
        documents: Numbers<'a>,
        counts: &'a [u8],
        blocks: Option<Blocks<'a>>,
        highest: f32,
    ) -> Self {
        let bound = f64::from(score(weight, highest)) * ROOM;
        let here = 0..0;
        Self { number, weight, documents, counts, blocks, table: None, bound, next: 0, here }
    }

    fn with_table(mut self, inverse_norms: &[f32; 256]) -> Self {
        if self.documents.len() >= WORTH_A_TABLE {
            let of =
                |count: usize| inverse_norms.map(|norm| score(self.weight, count as f32 * norm));
            self.table = Some(Box::new(std::array::from_fn(of)));
        }
        self
    }

    /// Goes to a window; windows come in rising order.
    fn enter(&mut self, start: u32) {
        self.here = if let Some(blocks) = self.blocks {
            let block = start as usize / BLOCK;
            self.start_of(blocks, block)..self.start_of(blocks, block + WINDOW / BLOCK)
        } else {
            let from = self.documents.first_from(self.next, start);
            from..self.documents.first_from(from, start.saturating_add(WINDOW as u32))
        };
        self.next = self.here.end;
    }

    /// The first posting of a block.
    fn start_of(&self, blocks: Blocks<'_>, block: usize) -> usize {
        if block < blocks.starts.len() {
            blocks.starts.get(block) as usize
        } else {
            self.documents.len()
        }
    }

    /// Where a document would stand: from the block's first posting, or from any before it.
    fn position(&self, document: u32, before: usize) -> usize {
        let Some(blocks) = self.blocks else {
            return self.documents.first_from(before, document);
        };
        let block = document as usize / BLOCK;
        let (start, end) = (self.start_of(blocks, block), self.start_of(blocks, block + 1));
        // Few: counting is faster than searching.
        start + self.documents.slice(start..end).iter().filter(|other| *other < document).count()
    }

    /// How often a document has it.
    fn count(&self, position: usize, document: u32) -> Option<u8> {
        let is_here = position < self.documents.len() && self.documents.get(position) == document;
        self.counts.get(position).copied().filter(|_| is_here)
    }

    /// The most that it gives to a document of a block.
    fn bound_of(&self, block: usize) -> f64 {
        let highest = self.blocks.and_then(|blocks| blocks.highest.get(block));
        highest.map_or(self.bound, |steps| self.step() * f64::from(*steps))
    }

    fn step(&self) -> f64 {
        f64::from(self.weight) / 255.0 * ROOM
    }

    fn next_document(&self) -> Option<u32> {
        (self.next < self.documents.len()).then(|| self.documents.get(self.next))
    }
}

/// A hit whose order puts the worst last.
#[derive(Clone, Copy, PartialEq)]
struct Kept(Hit);

impl Eq for Kept {}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.0.score.total_cmp(&self.0.score);
        by_score.then(self.0.product.cmp(&other.0.product))
    }
}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best documents so far.
struct Best {
    kept: BinaryHeap<Kept>,
    n: usize,
    /// So many documents are known to have at least this, kept or not.
    floor: f64,
}

impl Best {
    fn new(n: usize) -> Self {
        Self { kept: BinaryHeap::with_capacity(n), n, floor: 0.0 }
    }

    /// What a document must have to be among the best.
    fn least(&self) -> f64 {
        let worst = self.kept.peek().filter(|_| self.kept.len() == self.n);
        worst.map_or(0.0, |worst| f64::from(worst.0.score)).max(self.floor)
    }

    fn add(&mut self, document: u32, sum: f64) {
        let candidate = Kept(Hit { product: document, score: sum as f32 });
        if self.kept.len() < self.n {
            self.kept.push(candidate);
        } else if let Some(mut worst) = self.kept.peek_mut().filter(|worst| candidate < **worst) {
            *worst = candidate;
        }
    }
}

impl Ranking<'_> {
    /// The `n` best documents, best first, by their numbers.
    pub(super) fn best(&self, terms: Vec<Term<'_>>, n: usize) -> Vec<Hit> {
        let tabled = terms.into_iter().map(|term| term.with_table(self.inverse_norms));
        let mut terms: Vec<_> = tabled.collect();
        // The highest bounds first; the sort is stable, and which of equals goes first is nothing
        // that a result depends on: sums of 32-bit floats in 64-bit ones have room for any order.
        terms.sort_by(|a, b| b.bound.total_cmp(&a.bound));
        // What the terms from each place on can give together.
        let mut rests = vec![0.0; terms.len() + 1];
        for (place, term) in terms.iter().enumerate().rev() {
            rests[place] = rests[place + 1] + term.bound;
        }
        let mut best = Best::new(n);
        best.floor = self.first_look(&terms, n);
        let mut window = Window::new();
        let mut n_essential = terms.len();
        let mut n_windows_left = self.lengths.len().div_ceil(WINDOW);
        // Of each block, what the terms that are not essential can give.
        let mut block_rests = vec![0.0_f32; self.lengths.len().div_ceil(BLOCK)];
        loop {
            while n_essential > 0 && rests[n_essential - 1] < best.least() {
                n_essential -= 1;
                add_bounds(&terms[n_essential], &mut block_rests);
            }
            let (essential, others) = terms.split_at_mut(n_essential);
            let Some(first) = essential.iter().filter_map(Term::next_document).min() else { break };
            // Windows rise, but for those of a damaged file.
            if n_windows_left == 0 {
                break;
            }
            n_windows_left -= 1;
            window.go(first, &block_rests, best.least());
            for term in essential.iter_mut() {
                term.enter(window.start);
                self.add_up(term, &mut window);
            }
            window.list();
            for term in others {
                if window.candidates().is_empty() {
                    break;
                }
                term.enter(window.start);
                if term.here.len() <= window.candidates().len() * ADDED_PER_LOOK_UP {
                    self.add_up(term, &mut window);
                    window.n_touched = WINDOW; // and nobody knows which
                } else {
                    self.look_up(term, &mut window);
                }
                window.leave_behind(term);
            }
            for place in window.candidates() {
                let sum = window.sums[usize::from(*place)];
                best.add(window.start + u32::from(*place), sum);
            }
        }
        best.kept.into_sorted_vec().into_iter().map(|Kept(hit)| hit).collect()
    }

    /// What the best documents have at least, from a look at the documents of the rarest terms: the
    /// sooner that is known, the more can be left out.
    fn first_look(&self, terms: &[Term<'_>], n: usize) -> f64 {
        if terms.iter().map(|term| term.documents.len()).sum::<usize>() < WORTH_A_LOOK {
            return 0.0;
        }
        let mut n_left = LOOKED_AT;
        let mut sums: Vec<(u32, f64)> = Vec::new();
        for term in terms {
            if term.documents.len() <= n_left {
                n_left -= term.documents.len();
                let postings = term.documents.iter().zip(term.counts);
                sums.extend(postings.map(|(document, count)| {
                    (document, f64::from(self.score(term, document, *count)))
                }));
            }
        }
        sums.sort_unstable_by_key(|(document, _)| *document);
        sums.dedup_by(|later, first| {
            let is_same = later.0 == first.0;
            first.1 += if is_same { later.1 } else { 0.0 };
            is_same
        });
        if sums.len() < n {
            return 0.0;
        }
        let n_scored = SCORED_FIRST.min(sums.len());
        sums.select_nth_unstable_by(n_scored - 1, |a, b| b.1.total_cmp(&a.1));
        let whole = |(document, _): &(u32, f64)| {
            let of = |term: &Term<'_>| {
                let count = term.count(term.position(*document, 0), *document)?;
                Some(f64::from(self.score(term, *document, count)))
            };
            terms.iter().filter_map(of).sum::<f64>()
        };
        let mut scores: Vec<f64> = sums[..n_scored].iter().map(whole).collect();
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        // As hits have it: a document that rounds to the same is no worse.
        scores.get(n - 1).map_or(0.0, |score| f64::from(*score as f32) / ROOM)
    }

    /// Adds a term's scores in the window to the sums.
    fn add_up(&self, term: &Term<'_>, window: &mut Window) {
        let documents = term.documents.slice(term.here.clone());
        let counts = term.counts.get(term.here.clone()).unwrap_or_default();
        let lengths = self.lengths.get(window.start as usize..).unwrap_or_default();
        let Some(table) = &term.table else {
            for (document, count) in documents.iter().zip(counts) {
                window.add(window.place(document), self.score(term, document, *count));
            }
            return;
        };
        for (document, count) in documents.iter().zip(counts) {
            let place = window.place(document);
            let length = lengths.get(place).copied().unwrap_or_default();
            let score = match table.get(usize::from(*count)) {
                Some(scores) => scores[usize::from(length)],
                None => self.score(term, document, *count),
            };
            window.add(place, score);
        }
    }

    /// Adds a term's scores to the sums of candidates.
    fn look_up(&self, term: &Term<'_>, window: &mut Window) {
        let mut position = term.here.start;
        for candidate in 0..window.n_candidates {
            let place = usize::from(window.candidates[candidate]);
            let document = window.start + place as u32;
            position = term.position(document, position);
            if let Some(count) = term.count(position, document) {
                window.add(place, self.score(term, document, count));
            }
        }
    }

    fn score(&self, term: &Term<'_>, document: u32, count: u8) -> f32 {
        let count = if count == MANY { self.many(term.number, document) } else { count.into() };
        let length = self.lengths.get(document as usize).copied().unwrap_or_default();
        score(term.weight, count as f32 * self.inverse_norms[usize::from(length)])
    }

    /// A count that a byte does not hold.
    #[cold]
    fn many(&self, term: u32, document: u32) -> u32 {
        let key = |place: usize| (self.many.get(place * 3), self.many.get(place * 3 + 1));
        let (mut low, mut high) = (0, self.many.len() / 3);
        while low < high {
            let middle = usize::midpoint(low, high);
            if key(middle) < (term, document) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if key(low) == (term, document) { self.many.get(low * 3 + 2) } else { MANY.into() }
    }
}

/// Adds the most that a term gives to any document of each block.
fn add_bounds(term: &Term<'_>, bounds: &mut [f32]) {
    match term.blocks {
        Some(blocks) => {
            let step = term.step() as f32;
            for (bound, highest) in bounds.iter_mut().zip(blocks.highest) {
                *bound += step * f32::from(*highest);
            }
        }
        None => bounds.iter_mut().for_each(|bound| *bound += term.bound as f32),
    }
}

/// A run of documents and what they have so far.
struct Window {
    start: u32,
    /// By place in the window.
    sums: Box<[f64; WINDOW]>,
    /// By place in the window: 1 where a document has anything.
    touched: Box<[u8; WINDOW]>,
    /// Of each block, what the terms that were not looked at can give.
    rests: [f64; WINDOW / BLOCK],
    /// What a document must have at last.
    least: f64,
    /// The places of documents that may still be among the best, rising, and how many there are.
    candidates: Box<[u16; WINDOW]>,
    n_candidates: usize,
    /// The places of documents that have anything, while they are few, and how many there are.
    listed: [u16; FEW_TOUCHED],
    n_touched: usize,
}

impl Window {
    #[allow(clippy::large_stack_arrays, reason = "64 KiB for a moment, and none in tests")]
    fn new() -> Self {
        Self {
            start: 0,
            sums: Box::new([0.0; WINDOW]),
            touched: Box::new([0; WINDOW]),
            rests: [0.0; WINDOW / BLOCK],
            least: 0.0,
            candidates: Box::new([0; WINDOW]),
            n_candidates: 0,
            listed: [0; FEW_TOUCHED],
            n_touched: 0,
        }
    }

    /// Goes to the window that holds a document.
    fn go(&mut self, document: u32, block_rests: &[f32], least: f64) {
        self.start = document / WINDOW as u32 * WINDOW as u32;
        if self.n_touched <= FEW_TOUCHED {
            for place in &self.listed[..self.n_touched] {
                self.sums[usize::from(*place) % WINDOW] = 0.0;
                self.touched[usize::from(*place) % WINDOW] = 0;
            }
        } else {
            self.sums.fill(0.0);
            self.touched.fill(0);
        }
        (self.n_touched, self.n_candidates) = (0, 0);
        // Rounding makes sums and rests a little less than they are.
        self.least = least / ROOM;
        let first = self.start as usize / BLOCK;
        for (rest, bound) in self.rests.iter_mut().zip(block_rests.iter().skip(first)) {
            *rest = f64::from(*bound) * ROOM;
        }
    }

    /// A document's place; of a damaged list's too there is one.
    fn place(&self, document: u32) -> usize {
        document.wrapping_sub(self.start) as usize % WINDOW
    }

    fn add(&mut self, place: usize, score: f32) {
        self.sums[place] += f64::from(score);
        self.touched[place] = 1;
    }

    fn candidates(&self) -> &[u16] {
        &self.candidates[..self.n_candidates]
    }

    /// Lists the documents that may suffice.
    fn list(&mut self) {
        let mut n = 0;
        let (eights, _) = self.touched.as_chunks::<8>();
        for (first, eight) in (0..).step_by(8).zip(eights) {
            let mut touched = u64::from_le_bytes(*eight);
            let bound = self.least - self.rests[first / BLOCK % (WINDOW / BLOCK)];
            while touched != 0 {
                let place = first + touched.trailing_zeros() as usize / 8;
                touched &= touched - 1;
                if let Some(listed) = self.listed.get_mut(self.n_touched) {
                    *listed = place as u16;
                }
                self.n_touched += 1;
                // Written whether it counts or not: which it is cannot be foreseen.
                self.candidates[n % WINDOW] = place as u16;
                n += usize::from(self.sums[place % WINDOW] >= bound);
            }
        }
        self.n_candidates = n;
    }

    /// A term was looked at, and what it gives is in the sums: drops the candidates that cannot
    /// suffice any more.
    fn leave_behind(&mut self, term: &Term<'_>) {
        let first = self.start as usize / BLOCK;
        for (block, rest) in (first..).zip(&mut self.rests) {
            *rest = (*rest - term.bound_of(block) / ROOM).max(0.0);
        }
        let mut n = 0;
        for candidate in 0..self.n_candidates {
            let place = self.candidates[candidate];
            let (sum, rest) =
                (self.sums[usize::from(place)], self.rests[usize::from(place) / BLOCK]);
            self.candidates[n] = place;
            n += usize::from(sum + rest >= self.least);
        }
        self.n_candidates = n;
    }
}
