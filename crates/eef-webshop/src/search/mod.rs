//! The shop's search: BM25 over an inverted index, as Lucene computes it.
//!
//! An index is a run of bytes like the catalogue, in memory or mapped. Documents are numbered in
//! the order of their asins, so that of two with the same score the one that comes first wins.
//!
//! The bytes: for each term, in the order of the terms, its documents (32-bit, rising), how often
//! each has it (8-bit) and, for terms with at least as many documents as there are blocks of
//! documents, the first posting of each block (32-bit) and the highest saturation in it (8-bit); a
//! table of the terms (where the list begins, 64-bit, how many documents, 32-bit, the highest term
//! frequency over length norm, a 32-bit float, where the term's text ends, 32-bit); the terms'
//! texts; each document's length, as Lucene rounds it (8-bit); each
//! document's place in the catalogue (32-bit); what occurs more than 254 times (term, document,
//! count, 32-bit each); [`TRAILER`] bytes that say where these begin.

mod analyzer;
mod builder;
mod length;
mod porter;
mod ranking;

use std::path::Path;

pub use analyzer::analyze;
pub(crate) use builder::IndexBuilder;

use crate::bytes::{Bytes, Numbers, long};
use crate::catalog::{Catalog, Product};
use crate::error::WebShopError;
use length::decode_length;
use ranking::{BLOCK, Blocks, Ranking, Term};

/// How many products a search finds at most.
pub const MAX_HITS: usize = 50;

const K1: f32 = 0.9;
const B: f32 = 0.4;

/// A product found, by its place in the [`Catalog`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Which product.
    pub product: u32,
    /// Its BM25 score.
    pub score: f32,
}

/// Seven 64-bit numbers, the mean length as a 32-bit float, how many documents have a word as a
/// 32-bit number, [`MAGIC`].
const TRAILER: usize = 72;
/// What an index ends with: what it is, and the version of its form.
const MAGIC: [u8; 8] = *b"EEFSRCH1";
/// The bytes of a term in the table.
const ENTRY: usize = 20;
/// The count that stands for a greater one, told elsewhere.
const MANY: u8 = u8::MAX;

/// An inverted index of a catalogue. Cloned in constant time.
///
/// Scores follow Lucene 8 in 32-bit floats with its lossy document lengths, so that the order of
/// near ties is the original's too.
#[derive(Clone, Debug)]
pub struct SearchIndex {
    bytes: Bytes,
    n_documents: usize,
    /// Those with a word: only these count in Lucene's statistics.
    n_counted: u32,
    n_terms: usize,
    /// Where each part begins.
    table_at: usize,
    texts_at: usize,
    lengths_at: usize,
    places_at: usize,
    many_at: usize,
    /// By a length's byte: `1 / (k1 · (1 - b + b · length / mean length))`.
    inverse_norms: Box<[f32; 256]>,
}

/// A term in the table.
#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    n_documents: usize,
    /// The highest term frequency over length norm of its documents.
    highest: f32,
    text_end: usize,
}

impl SearchIndex {
    /// Indexes titles, descriptions, first bullet points and options.
    pub fn new(catalog: &Catalog) -> Self {
        let mut builder = IndexBuilder::new();
        for product in catalog.products() {
            builder.push(&indexed_text(&product));
        }
        let places: Vec<u32> = catalog.places_by_asin().iter().collect();
        // Writing to memory does not fail.
        let bytes = builder.finish(&places, Vec::new()).unwrap_or_default();
        Self::read(bytes.into()).unwrap_or_else(|_| Self::empty())
    }

    /// Maps the file of an index.
    ///
    /// # Errors
    /// [`WebShopError::Read`], or [`WebShopError::Damaged`] where the file is no index or cut off.
    /// What is in the lists is not read: damaged ones give wrong hits.
    pub fn open(path: &Path) -> Result<Self, WebShopError> {
        let bytes = Bytes::map(path)
            .map_err(|source| WebShopError::Read { path: path.to_owned(), source })?;
        Self::read(bytes)
            .map_err(|message| WebShopError::Damaged { path: path.to_owned(), message })
    }

    fn empty() -> Self {
        Self {
            bytes: Vec::new().into(),
            n_documents: 0,
            n_counted: 0,
            n_terms: 0,
            table_at: 0,
            texts_at: 0,
            lengths_at: 0,
            places_at: 0,
            many_at: 0,
            inverse_norms: inverse_norms(1.0),
        }
    }

    fn read(bytes: Bytes) -> Result<Self, &'static str> {
        let (before, trailer) = bytes.split_last_chunk::<TRAILER>().ok_or("it is too short")?;
        if !trailer.ends_with(&MAGIC) {
            return Err("it does not end as a search index of this version does");
        }
        let field = |place| usize::try_from(long(trailer, place)).unwrap_or(usize::MAX);
        let [n_documents, n_terms, table_at, texts_at, lengths_at, places_at, many_at] =
            std::array::from_fn(field);
        let mean = f32::from_bits(Numbers::new(trailer).get(14));
        let n_counted = Numbers::new(trailer).get(15);
        let end = |start: usize, n: usize, size: usize| n.checked_mul(size)?.checked_add(start);
        let fits = end(table_at, n_terms, ENTRY) == Some(texts_at)
            && texts_at <= lengths_at
            && end(lengths_at, n_documents, 1) == Some(places_at)
            && end(places_at, n_documents, 4) == Some(many_at)
            && many_at <= before.len();
        if !fits || !mean.is_finite() {
            return Err("its parts do not fit its length");
        }
        let inverse_norms = inverse_norms(mean);
        Ok(Self {
            bytes,
            n_documents,
            n_counted,
            n_terms,
            table_at,
            texts_at,
            lengths_at,
            places_at,
            many_at,
            inverse_norms,
        })
    }

    /// How many documents are indexed.
    pub(crate) fn n_documents(&self) -> usize {
        self.n_documents
    }

    /// The best products for a query, best first, ties by asin; none where no word is known.
    pub fn search(&self, query: &str) -> Vec<Hit> {
        let mut terms: Vec<(usize, f32)> = Vec::new();
        for term in analyze(query) {
            let Some(term) = self.find(&term) else { continue };
            match terms.iter_mut().find(|(other, _)| *other == term) {
                Some((_, n)) => *n += 1.0,
                None => terms.push((term, 1.0)),
            }
        }
        let terms = terms.into_iter().filter_map(|(number, n)| self.term(number, n)).collect();
        let lengths = self.bytes.get(self.lengths_at..self.places_at).unwrap_or_default();
        let many = Numbers::new(self.bytes.get(self.many_at..).unwrap_or_default());
        let ranking = Ranking { lengths, inverse_norms: &self.inverse_norms, many };
        let places = Numbers::new(self.bytes.get(self.places_at..self.many_at).unwrap_or_default());
        let mut hits = ranking.best(terms, MAX_HITS);
        for hit in &mut hits {
            hit.product = places.get(hit.product as usize);
        }
        hits
    }

    /// What a query needs of a term that it has `n` times.
    fn term(&self, number: usize, n: f32) -> Option<Term<'_>> {
        let Entry { start, n_documents, highest, .. } = self.entry(number)?;
        let (documents, rest) = self.bytes.get(start..)?.split_at_checked(n_documents * 4)?;
        let (counts, rest) = rest.split_at_checked(n_documents)?;
        let n_blocks = self.n_documents.div_ceil(BLOCK);
        let blocks = if has_blocks(n_documents, n_blocks) {
            let (starts, rest) = rest.split_at_checked(n_blocks * 4)?;
            Some(Blocks { starts: Numbers::new(starts), highest: rest.get(..n_blocks)? })
        } else {
            None
        };
        let weight = n * self.inverse_document_frequency(n_documents);
        let documents = Numbers::new(documents);
        Some(Term::new(number as u32, weight, documents, counts, blocks, highest))
    }

    /// The number of a term.
    fn find(&self, term: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.n_terms);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.text(middle)?.cmp(term.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn text(&self, number: usize) -> Option<&[u8]> {
        let start = match number.checked_sub(1) {
            Some(before) => self.entry(before)?.text_end,
            None => 0,
        };
        let texts = self.bytes.get(self.texts_at..self.lengths_at)?;
        texts.get(start..self.entry(number)?.text_end)
    }

    fn entry(&self, number: usize) -> Option<Entry> {
        let start = self.table_at + number * ENTRY;
        let numbers = Numbers::new(self.bytes.get(start..start + ENTRY)?);
        let start = u64::from(numbers.get(0)) | u64::from(numbers.get(1)) << 32;
        Some(Entry {
            start: usize::try_from(start).ok()?,
            n_documents: numbers.get(2) as usize,
            highest: f32::from_bits(numbers.get(3)),
            text_end: numbers.get(4) as usize,
        })
    }

    fn inverse_document_frequency(&self, n_containing: usize) -> f32 {
        let n_documents = f64::from(self.n_counted);
        let n_containing = n_containing as f64;
        (1.0 + (n_documents - n_containing + 0.5) / (n_containing + 0.5)).ln() as f32
    }
}

/// Whether a term's list tells where each block begins: where it has a posting in most of them.
fn has_blocks(n_documents: usize, n_blocks: usize) -> bool {
    n_documents >= n_blocks
}

/// For every length that a byte can stand for.
fn inverse_norms(mean: f32) -> Box<[f32; 256]> {
    let of = |byte: usize| {
        let length = decode_length(byte as u8) as f32;
        1.0 / (K1 * ((1.0 - B) + B * length / mean))
    };
    Box::new(std::array::from_fn(of))
}

/// What is indexed of a product: title, description, first bullet point and options, lower case.
pub fn indexed_text(product: &Product<'_>) -> String {
    let options: Vec<_> = product
        .options
        .iter()
        .map(|option| format!("{}: {}", option.name, option.values.join(", ")))
        .collect();
    let first_point = product.bullet_points.first().copied().unwrap_or_default();
    let options = options.join(", and ");
    format!("{} {} {first_point} {options}", product.title, product.description).to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::length::encode_length;
    use super::*;
    use crate::raw::{Annotations, NounTable, Prices, RawItem};
    use eef_core::Seed;
    use proptest::prelude::*;

    fn catalog(items: &[RawItem]) -> Catalog {
        let nothing = (Annotations::new(), NounTable::new(), Prices::new());
        Catalog::new(items, &nothing.0, &nothing.1, &nothing.2, Seed::new(0)).0
    }

    fn item(asin: &str, name: &str) -> RawItem {
        RawItem { asin: asin.to_owned(), name: name.to_owned(), ..RawItem::default() }
    }

    /// Every document's score, one after the other, as the formulas say it.
    fn plain(catalog: &Catalog, query: &str) -> Vec<Hit> {
        let documents: Vec<Vec<String>> =
            catalog.products().map(|product| analyze(&indexed_text(&product))).collect();
        let total: usize = documents.iter().map(Vec::len).sum();
        let n_counted = documents.iter().filter(|document| !document.is_empty()).count();
        let mean = (total as f64 / n_counted as f64) as f32;
        let mut counts: BTreeMap<String, f32> = BTreeMap::new();
        for term in analyze(query) {
            *counts.entry(term).or_default() += 1.0;
        }
        let mut hits = Vec::new();
        for (place, document) in documents.iter().enumerate() {
            let length = decode_length(encode_length(document.len() as u32)) as f32;
            let inverse_norm = 1.0 / (K1 * ((1.0 - B) + B * length / mean));
            let mut score = 0.0;
            for (term, n) in &counts {
                let containing = documents.iter().filter(|d| d.contains(term)).count() as f64;
                let idf =
                    (1.0 + (n_counted as f64 - containing + 0.5) / (containing + 0.5)).ln() as f32;
                let n_here = document.iter().filter(|other| *other == term).count() as f32;
                if n_here > 0.0 {
                    let weight = n * idf;
                    score += f64::from(weight - weight / (1.0 + n_here * inverse_norm));
                }
            }
            if score > 0.0 {
                hits.push(Hit { product: place as u32, score: score as f32 });
            }
        }
        let asin = |hit: &Hit| catalog.listing(hit.product as usize).asin.to_owned();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(asin(a).cmp(&asin(b))));
        hits.truncate(MAX_HITS);
        hits
    }

    #[test]
    fn equal_scores_are_ordered_by_asin() {
        let catalog = catalog(&["B3", "B1", "B2"].map(|asin| item(asin, "Red Mug")));
        let index = SearchIndex::new(&catalog);
        let hits = index.search("mugs");
        let asins: Vec<_> =
            hits.iter().map(|hit| catalog.listing(hit.product as usize).asin).collect();
        assert_eq!(asins, ["B1", "B2", "B3"]);
        assert!(index.search("").is_empty() && index.search("the sofa").is_empty());
        assert_eq!(index.n_documents(), 3);
    }

    #[test]
    fn a_word_may_occur_more_often_than_a_byte_counts() {
        let names = [300, 254, 255, 256, 1].map(|n| format!("mug {}", "cup ".repeat(n)));
        let items: Vec<_> =
            names.iter().zip(["B1", "B2", "B3", "B4", "B5"]).map(|(n, a)| item(a, n)).collect();
        let catalog = catalog(&items);
        let index = SearchIndex::new(&catalog);
        for query in ["cup", "cup mug", "mug cup cup"] {
            assert_eq!(index.search(query), plain(&catalog, query), "{query}");
        }
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let index = SearchIndex::new(&catalog(&[item("B1", "red mug"), item("B2", "blue mug")]));
        let bytes = index.bytes.to_vec();
        assert!(SearchIndex::read(bytes.clone().into()).is_ok());
        for n in 0..bytes.len() {
            assert!(SearchIndex::read(bytes[..n].to_vec().into()).is_err(), "{n}");
        }
        // Whatever else is changed, nothing panics.
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0xff;
            if let Ok(index) = SearchIndex::read(changed.into()) {
                index.search("red mug");
            }
        }
    }

    #[test]
    fn a_damaged_index_answers_something() {
        let names: Vec<_> = (0..600).map(|n| format!("mug {}", ["cup", "tin"][n % 2])).collect();
        let items: Vec<_> =
            names.iter().enumerate().map(|(n, name)| item(&format!("B{n}"), name)).collect();
        let index = SearchIndex::new(&catalog(&items));
        let bytes = index.bytes.to_vec();
        // Runs of zeros and ones over every part: lists, tables of blocks, texts, lengths.
        for start in (0..bytes.len()).step_by(40) {
            for value in [0x00, 0xff] {
                let mut changed = bytes.clone();
                changed[start..(start + 300).min(bytes.len())].fill(value);
                if let Ok(index) = SearchIndex::read(changed.into()) {
                    assert!(index.search("mug cup tin").len() <= MAX_HITS);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

        #[test]
        fn nothing_that_is_skipped_would_have_been_found(
            // Few words, some rare, and far more documents than hits and than one window holds.
            names in prop::collection::vec(prop::collection::vec(0..18_u32, 1..9), 2050..4200),
            queries in prop::collection::vec(prop::collection::vec(0..18_u32, 1..7), 1..8),
        ) {
            // A third of the words are frequent; the last ones are in a handful of documents each.
            let text = |number: usize, words: &Vec<u32>| {
                let word = |w: &u32| match *w {
                    16.. => format!("rare{}", (number * 31 + *w as usize) % 300),
                    w => ["mug", "cup", "red", "tin", "pan", "oak"][(w * w / 45) as usize % 6].to_owned(),
                };
                words.iter().map(word).collect::<Vec<_>>().join(" ")
            };
            let asin = |number: usize| format!("B{}", (number * 7919) % 10_000);
            let mut items: Vec<_> =
                names.iter().enumerate().map(|(n, words)| item(&asin(n), &text(n, words))).collect();
            items[0].name.push_str(&" cup".repeat(300));
            items[1].name.clear();
            let catalog = catalog(&items);
            let index = SearchIndex::new(&catalog);
            for query in &queries {
                let query = text(query.len(), query);
                prop_assert_eq!(index.search(&query), plain(&catalog, &query));
            }
        }
    }
}
