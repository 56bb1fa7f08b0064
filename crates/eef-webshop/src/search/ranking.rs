//! The best documents for some terms, without scoring those that cannot be among them.
//!
//! Documents are gone through in windows. In each, terms that could by themselves lift a document
//! among the best are added up; the rest, whose highest scores together stay below what the worst
//! of the best has, are looked up only for documents that they could still lift (MaxScore of
//! Turtle and Flood, 1995, by windows). Bounds are exact, so nothing is lost, and sums of 32-bit
//! floats in 64-bit ones do not depend on their order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::{Hit, MANY};
use crate::bytes::Numbers;

/// Documents per window: their sums stay in the processor's nearest cache.
const WINDOW: usize = 2048;

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
    /// The highest score that it gives to a document.
    bound: f64,
    /// The first posting that was not gone through.
    next: usize,
}

impl<'a> Term<'a> {
    pub(super) fn new(
        number: u32,
        weight: f32,
        documents: Numbers<'a>,
        counts: &'a [u8],
        highest: f32,
    ) -> Self {
        let bound = f64::from(score(weight, highest));
        Self { number, weight, documents, counts, bound, next: 0 }
    }

    fn next_document(&self) -> Option<u32> {
        (self.next < self.documents.len()).then(|| self.documents.get(self.next))
    }
}

/// What a term gives to a document with this term frequency over length norm: Lucene's form of
/// BM25, whose rounding rises with `frequency` throughout.
fn score(weight: f32, frequency: f32) -> f32 {
    weight - weight / (1.0 + frequency)
}

/// A hit whose order puts the worst first.
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
}

impl Best {
    /// Whether a document with this sum, or less, would be kept.
    fn takes(&self, document: u32, sum: f64) -> bool {
        let candidate = Kept(Hit { product: document, score: sum as f32 });
        self.kept.len() < self.n || self.kept.peek().is_some_and(|worst| candidate < *worst)
    }

    fn add(&mut self, document: u32, sum: f64) {
        if self.takes(document, sum) {
            self.kept.push(Kept(Hit { product: document, score: sum as f32 }));
            if self.kept.len() > self.n {
                self.kept.pop();
            }
        }
    }
}

impl Ranking<'_> {
    /// The `n` best documents, best first, by their numbers.
    pub(super) fn best(&self, mut terms: Vec<Term<'_>>, n: usize) -> Vec<Hit> {
        // The highest bounds first; the sort is stable, and which of equals goes first is nothing
        // that a result depends on.
        terms.sort_by(|a, b| b.bound.total_cmp(&a.bound));
        // What the terms from each place on can give together.
        let mut rests = vec![0.0; terms.len() + 1];
        for (place, term) in terms.iter().enumerate().rev() {
            rests[place] = rests[place + 1] + term.bound;
        }
        let mut best = Best { kept: BinaryHeap::with_capacity(n + 1), n };
        let mut sums = vec![0.0_f64; WINDOW];
        let mut touched: Vec<u32> = Vec::with_capacity(WINDOW);
        let mut n_essential = terms.len();
        loop {
            // The last documents come last: what does not suffice now never will.
            while n_essential > 0 && !best.takes(u32::MAX, rests[n_essential - 1]) {
                n_essential -= 1;
            }
            let (essential, others) = terms.split_at_mut(n_essential);
            let Some(first) = essential.iter().filter_map(Term::next_document).min() else { break };
            let start = first as usize / WINDOW * WINDOW;
            for term in essential {
                self.add_up(term, start, &mut sums, &mut touched);
            }
            for term in others.iter_mut() {
                term.next = term.documents.first_from(term.next, first);
            }
            for document in touched.drain(..) {
                let sum = std::mem::take(&mut sums[document as usize - start]);
                let rests = &rests[n_essential..];
                if let Some(sum) = self.look_up(others, rests, document, sum, &best) {
                    best.add(document, sum);
                }
            }
        }
        best.kept.into_sorted_vec().into_iter().map(|Kept(hit)| hit).collect()
    }

    /// Adds a term's scores in the window to the sums.
    fn add_up(&self, term: &mut Term<'_>, start: usize, sums: &mut [f64], touched: &mut Vec<u32>) {
        let end = (start + WINDOW) as u32;
        let from = term.documents.first_from(term.next, start as u32);
        let until = term.documents.first_from(from, end);
        term.next = until;
        let documents = term.documents.slice(from..until);
        let counts = term.counts.get(from..until).unwrap_or_default();
        for (document, count) in documents.iter().zip(counts) {
            let Some(sum) = sums.get_mut((document as usize).wrapping_sub(start)) else { continue };
            // A score is above 0, so 0 means that the document is new here.
            if *sum == 0.0 {
                touched.push(document);
            }
            *sum += f64::from(self.score(term, document, *count));
        }
    }

    /// Adds what the other terms give to a document; `None` as soon as that cannot suffice.
    fn look_up(
        &self,
        others: &[Term<'_>],
        rests: &[f64],
        document: u32,
        mut sum: f64,
        best: &Best,
    ) -> Option<f64> {
        for (place, term) in others.iter().enumerate() {
            if !best.takes(document, sum + rests[place]) {
                return None;
            }
            let at = term.documents.first_from(term.next, document);
            if term.documents.get(at) == document && at < term.documents.len() {
                sum += f64::from(self.score(term, document, term.counts.get(at).copied()?));
            }
        }
        Some(sum)
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
