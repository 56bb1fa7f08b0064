//! Building an index, a document at a time.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use super::analyzer::{term_of, words};
use super::length::encode_length;
use super::ranking::{BLOCK, steps};
use super::{MAGIC, MANY, has_blocks, inverse_norms};

/// Takes documents in load order. Keeps the lists in memory, two or three bytes a posting.
#[derive(Default)]
pub(crate) struct IndexBuilder {
    /// Term → its place in `lists`.
    terms: BTreeMap<Box<str>, u32>,
    /// Words met so far → the terms that they become, none for stop words: stemming costs more
    /// than looking up.
    known: HashMap<Box<str>, Option<u32>>,
    lists: Vec<List>,
    lengths: Vec<u32>,
    /// The terms of the document at hand.
    document: Vec<u32>,
}

/// A term's documents with how often they have it: each by its distance from the last, 7 bits a
/// byte.
#[derive(Default)]
struct List {
    bytes: Vec<u8>,
    last: u32,
    n_documents: u32,
}

impl IndexBuilder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds the next document's text.
    pub(crate) fn push(&mut self, text: &str) {
        let number = self.lengths.len() as u32;
        self.document.clear();
        words(text, |word| {
            let known = self.known.get(word).copied();
            let term = known.unwrap_or_else(|| {
                let term = term_of(word).map(|term| {
                    let next = self.terms.len() as u32;
                    *self.terms.entry(term.into()).or_insert(next)
                });
                self.known.insert(word.into(), term);
                term
            });
            self.document.extend(term);
        });
        self.lengths.push(self.document.len() as u32);
        self.lists.resize_with(self.terms.len(), List::default);
        self.document.sort_unstable();
        for same in self.document.chunk_by(|a, b| a == b) {
            self.lists[same[0] as usize].push(number, same.len() as u32);
        }
    }

    /// Writes the index. `places` are the documents' places in the order in which they are to be
    /// numbered.
    pub(crate) fn finish<W: Write>(mut self, places: &[u32], out: W) -> io::Result<W> {
        let n_documents = self.lengths.len();
        let n_blocks = n_documents.div_ceil(BLOCK);
        let total: u64 = self.lengths.iter().copied().map(u64::from).sum();
        // Lucene counts the documents that have a term.
        let n_counted = self.lengths.iter().filter(|length| **length > 0).count() as u32;
        let mean = (total as f64 / f64::from(n_counted.max(1))) as f32;
        let inverse_norms = inverse_norms(mean);
        let lengths: Vec<u8> = self.lengths.iter().map(|length| encode_length(*length)).collect();
        let mut numbers = vec![0; n_documents];
        for (number, place) in (0_u32..).zip(places) {
            numbers[*place as usize] = number;
        }
        let mut out = Counting { out, position: 0 };
        let (mut table, mut many) = (Vec::new(), Vec::new());
        let mut text_end = 0;
        let mut postings: Vec<(u32, u32)> = Vec::new();
        let (mut documents, mut counts) = (Vec::new(), Vec::new());
        for (term, (text, list)) in (0_u32..).zip(&self.terms) {
            let list = std::mem::take(&mut self.lists[*list as usize]);
            postings.clear();
            let mut highest = 0.0_f32;
            list.read(|place, count| {
                let norm = inverse_norms[usize::from(lengths[place as usize])];
                highest = highest.max(count as f32 * norm);
                postings.push((numbers[place as usize], count));
            });
            postings.sort_unstable();
            documents.clear();
            counts.clear();
            for (document, count) in &postings {
                documents.extend(document.to_le_bytes());
                let byte = u8::try_from(*count).unwrap_or(MANY);
                counts.push(byte);
                if byte == MANY {
                    many.extend([term, *document, *count].map(u32::to_le_bytes));
                }
            }
            text_end += text.len() as u32;
            table.extend(out.position.to_le_bytes());
            table.extend(list.n_documents.to_le_bytes());
            table.extend(highest.to_bits().to_le_bytes());
            table.extend(text_end.to_le_bytes());
            out.write(&documents)?;
            out.write(&counts)?;
            if has_blocks(postings.len(), n_blocks) {
                let (mut starts, mut highest) = (Vec::new(), vec![0_u8; n_blocks]);
                for (posting, (document, count)) in (0_u32..).zip(&postings) {
                    let block = *document as usize / BLOCK;
                    starts.resize((block + 1).max(starts.len()), posting);
                    let length = lengths[places[*document as usize] as usize];
                    let frequency = *count as f32 * inverse_norms[usize::from(length)];
                    highest[block] = highest[block].max(steps(frequency));
                }
                starts.resize(n_blocks, postings.len() as u32);
                let starts: Vec<_> = starts.into_iter().map(u32::to_le_bytes).collect();
                out.write(starts.as_flattened())?;
                out.write(&highest)?;
            }
        }
        let table_at = out.position;
        out.write(&table)?;
        let texts_at = out.position;
        for text in self.terms.keys() {
            out.write(text.as_bytes())?;
        }
        let lengths_at = out.position;
        for place in places {
            out.write(&[lengths[*place as usize]])?;
        }
        let places_at = out.position;
        for place in places {
            out.write(&place.to_le_bytes())?;
        }
        let many_at = out.position;
        out.write(many.as_flattened())?;
        let sizes = [n_documents as u64, self.terms.len() as u64];
        for number in sizes.into_iter().chain([table_at, texts_at, lengths_at, places_at, many_at])
        {
            out.write(&number.to_le_bytes())?;
        }
        out.write(&mean.to_bits().to_le_bytes())?;
        out.write(&n_counted.to_le_bytes())?;
        out.write(&MAGIC)?;
        out.out.flush()?;
        Ok(out.out)
    }
}

impl List {
    fn push(&mut self, document: u32, count: u32) {
        write_number(&mut self.bytes, document - self.last);
        write_number(&mut self.bytes, count);
        self.last = document;
        self.n_documents += 1;
    }

    fn read(&self, mut take: impl FnMut(u32, u32)) {
        let (mut bytes, mut document) = (self.bytes.as_slice(), 0);
        while !bytes.is_empty() {
            document += read_number(&mut bytes);
            let count = read_number(&mut bytes);
            take(document, count);
        }
    }
}

fn write_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> u32 {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

struct Counting<W> {
    out: W,
    position: u64,
}

impl<W: Write> Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}
