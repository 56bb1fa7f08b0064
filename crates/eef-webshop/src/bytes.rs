//! Bytes that are in memory or in a mapped file, and the numbers in them.
//!
//! The one place of this crate with `unsafe`: a read-only memory map.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; the argument is at the call")]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

/// Shared bytes, cloned in constant time.
#[derive(Clone, Debug)]
pub(crate) enum Bytes {
    Owned(Arc<Vec<u8>>),
    Mapped(Arc<memmap2::Mmap>),
}

impl Bytes {
    /// Maps a file: its pages are read when they are looked at.
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self::Owned(Arc::default())); // nothing to map
        }
        // SAFETY: the map is private and read-only, and only ever seen as bytes, for which every
        // value is valid. A program that truncates the file while it is mapped would end this
        // process with SIGBUS; prepared files are replaced by renaming, never rewritten in place,
        // so a mapped file keeps its length.
        let map = unsafe { memmap2::Mmap::map(&file) }?;
        Ok(Self::Mapped(Arc::new(map)))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(Arc::new(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// Numbers of 32 bits, little-endian, at any place of some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers<'a>(&'a [[u8; 4]]);

impl<'a> Numbers<'a> {
    /// Reads as many as there are; what is left over is ignored.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    /// The number at this place, 0 behind the end.
    pub(crate) fn get(self, place: usize) -> u32 {
        self.0.get(place).map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.0.iter().map(|bytes| u32::from_le_bytes(*bytes))
    }

    pub(crate) fn slice(self, range: Range<usize>) -> Self {
        Self(self.0.get(range).unwrap_or_default())
    }

    /// The first place from `start` on whose number is at least `least`, in rising numbers. Looks
    /// near `start` first.
    pub(crate) fn first_from(self, start: usize, least: u32) -> usize {
        let rest = self.0.get(start..).unwrap_or_default();
        let is_less = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes) < least;
        let mut reach = 1;
        while rest.get(reach - 1).is_some_and(is_less) {
            reach *= 2;
        }
        let near = &rest[reach / 2..reach.min(rest.len())];
        start + reach / 2 + near.partition_point(is_less)
    }
}

/// The 64-bit number at this place, counted in numbers; 0 behind the end.
pub(crate) fn long(bytes: &[u8], place: usize) -> u64 {
    bytes.as_chunks().0.get(place).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_place_is_that_of_a_plain_search(
            mut numbers in prop::collection::vec(0..200_u32, 0..60),
            start in 0..70_usize,
            least in 0..210_u32,
        ) {
            numbers.sort_unstable();
            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            let found = Numbers::new(&bytes).first_from(start, least);
            let plain = numbers.iter().enumerate().skip(start).find(|(_, n)| **n >= least);
            let expected = plain.map_or(start.max(numbers.len()), |(place, _)| place);
            prop_assert_eq!(found, expected);
        }
    }
}
