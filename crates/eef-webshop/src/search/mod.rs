//! The shop's search: BM25 over an inverted index, as Lucene computes it.

mod analyzer;
mod porter;

use std::collections::BTreeMap;

pub use analyzer::analyze;

use crate::catalog::{Catalog, Product};

/// How many products a search finds at most.
pub const MAX_HITS: usize = 50;

const K1: f32 = 0.9;
const B: f32 = 0.4;

/// A product found, by its place in [`Catalog::products`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Which product.
    pub product: u32,
    /// Its BM25 score.
    pub score: f32,
}

/// An inverted index of a catalogue.
///
/// Scores follow Lucene 8 in 32-bit floats with its lossy document lengths, so that the order of
/// near ties is the original's too.
#[derive(Clone, Debug)]
pub struct SearchIndex {
    /// Term → its number in `postings`.
    terms: BTreeMap<String, u32>,
    postings: Vec<Vec<Posting>>,
    /// Of each product: `1 / (k1 · (1 - b + b · length / mean length))`.
    inverse_norms: Vec<f32>,
    /// Of each product: its place among all when sorted by asin, which breaks ties.
    asin_ranks: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Posting {
    product: u32,
    n_occurrences: u32,
}

impl SearchIndex {
    /// Indexes titles, descriptions, first bullet points and options.
    pub fn new(catalog: &Catalog) -> Self {
        let products = catalog.products();
        let mut terms = BTreeMap::new();
        let mut postings: Vec<Vec<Posting>> = Vec::new();
        let mut lengths = Vec::with_capacity(products.len());
        for (number, product) in products.iter().enumerate() {
            let document = analyze(&indexed_text(product));
            lengths.push(document.len());
            let mut counts: BTreeMap<String, u32> = BTreeMap::new();
            for term in document {
                *counts.entry(term).or_default() += 1;
            }
            for (term, n_occurrences) in counts {
                let list = *terms.entry(term).or_insert_with(|| {
                    postings.push(Vec::new());
                    postings.len() as u32 - 1
                });
                let posting = Posting { product: number as u32, n_occurrences };
                postings[list as usize].push(posting);
            }
        }
        // Lucene counts the documents that have the field: here all.
        let total: usize = lengths.iter().sum();
        let mean = (total as f64 / products.len().max(1) as f64) as f32;
        let inverse_norm = |length: &usize| {
            let length = decode_length(encode_length(*length as u32)) as f32;
            1.0 / (K1 * ((1.0 - B) + B * length / mean))
        };
        let mut by_asin: Vec<usize> = (0..products.len()).collect();
        by_asin.sort_by(|a, b| products[*a].asin.cmp(&products[*b].asin));
        let mut asin_ranks = vec![0; products.len()];
        for (rank, product) in by_asin.into_iter().enumerate() {
            asin_ranks[product] = rank as u32;
        }
        let inverse_norms = lengths.iter().map(inverse_norm).collect();
        Self { terms, postings, inverse_norms, asin_ranks }
    }

    /// The best products for a query, best first, ties by asin; none where no word is known.
    pub fn search(&self, query: &str) -> Vec<Hit> {
        let mut weights: Vec<(u32, f32)> = Vec::new();
        for term in analyze(query) {
            let Some(&list) = self.terms.get(&term) else {
                continue;
            };
            match weights.iter_mut().find(|(other, _)| *other == list) {
                Some((_, n)) => *n += 1.0,
                None => weights.push((list, 1.0)),
            }
        }
        let mut scores = vec![0.0_f64; self.inverse_norms.len()];
        let mut found = Vec::new();
        for (list, n) in weights {
            let postings = &self.postings[list as usize];
            let weight = n * self.inverse_document_frequency(postings.len());
            for posting in postings {
                let product = posting.product as usize;
                let frequency = posting.n_occurrences as f32 * self.inverse_norms[product];
                let score = weight - weight / (1.0 + frequency);
                // A term's score is above 0, so 0 means that the product is new here.
                if scores[product] == 0.0 {
                    found.push(posting.product);
                }
                scores[product] += f64::from(score);
            }
        }
        let mut hits: Vec<Hit> = found
            .into_iter()
            .map(|product| Hit { product, score: scores[product as usize] as f32 })
            .collect();
        let order = |a: &Hit, b: &Hit| {
            let rank = |hit: &Hit| self.asin_ranks[hit.product as usize];
            b.score.total_cmp(&a.score).then_with(|| rank(a).cmp(&rank(b)))
        };
        if hits.len() > MAX_HITS {
            hits.select_nth_unstable_by(MAX_HITS - 1, order);
            hits.truncate(MAX_HITS);
        }
        hits.sort_unstable_by(order);
        hits
    }

    fn inverse_document_frequency(&self, n_containing: usize) -> f32 {
        let n_documents = self.inverse_norms.len() as f64;
        let n_containing = n_containing as f64;
        (1.0 + (n_documents - n_containing + 0.5) / (n_containing + 0.5)).ln() as f32
    }
}

/// What is indexed of a product: title, description, first bullet point and options, lower case.
pub fn indexed_text(product: &Product) -> String {
    let options: Vec<_> = product
        .options
        .iter()
        .map(|option| format!("{}: {}", option.name, option.values.join(", ")))
        .collect();
    let first_point = product.bullet_points.first().map_or("", String::as_str);
    let options = options.join(", and ");
    format!("{} {} {first_point} {options}", product.title, product.description).to_lowercase()
}

/// Lucene's one-byte length (`SmallFloat.intToByte4`): 24 exact values, then 3 bits of mantissa.
fn encode_length(length: u32) -> u8 {
    if length < 24 {
        return length as u8;
    }
    let rest = length - 24;
    let n_bits = 32 - rest.leading_zeros();
    let code = if n_bits < 4 {
        rest
    } else {
        let shift = n_bits - 4;
        ((rest >> shift) & 7) | ((shift + 1) << 3)
    };
    24 + code as u8
}

/// The length that a byte stands for (`SmallFloat.byte4ToInt`).
fn decode_length(byte: u8) -> u32 {
    if byte < 24 {
        return u32::from(byte);
    }
    let code = u32::from(byte) - 24;
    let mantissa = code & 7;
    24 + match code >> 3 {
        0 => mantissa,
        exponent => (mantissa | 8) << (exponent - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::{Annotations, Prices, RawItem};
    use eef_core::Seed;

    #[test]
    fn lengths_are_rounded_down_and_never_by_more_than_an_eighth() {
        for length in 0..100_000 {
            let decoded = decode_length(encode_length(length));
            assert!(decoded <= length && length - decoded <= length / 8, "{length} {decoded}");
            assert!(length >= 40 || decoded == length);
        }
    }

    #[test]
    fn equal_scores_are_ordered_by_asin() {
        let item = |asin: &str| RawItem {
            asin: asin.to_owned(),
            name: "Red Mug".to_owned(),
            ..RawItem::default()
        };
        let items = [item("B3"), item("B1"), item("B2")];
        let (catalog, _) = Catalog::new(&items, &Annotations::new(), &Prices::new(), Seed::new(0));
        let index = SearchIndex::new(&catalog);
        let found = |query| {
            let hits = index.search(query);
            hits.iter().map(|hit| catalog.products()[hit.product as usize].asin.clone()).collect()
        };
        let asins: Vec<String> = found("mugs");
        assert_eq!(asins, ["B1", "B2", "B3"]);
        assert!(index.search("").is_empty() && index.search("the sofa").is_empty());
    }
}
