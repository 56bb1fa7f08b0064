//! Digests over whole tables: they tell that a row vanished or changed its key, which the row's
//! own checksum cannot.
//!
//! A digest is the sum of the rows' checksums as 128-bit numbers, so that adding a row costs one
//! addition and the order of rows does not matter.

use rusqlite::{Connection, OptionalExtension};

use super::errors::failed;
use crate::{Checksum, StoreError};

/// Which digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    /// Over everything that cannot be derived.
    Contents,
    /// Over the state index.
    Index,
}

/// Their keys in the table `meta`.
pub(super) const KEYS: [&str; 2] = ["contents_digest", "index_digest"];

impl Digest {
    fn key(self) -> &'static str {
        match self {
            Self::Contents => KEYS[0],
            Self::Index => KEYS[1],
        }
    }

    /// The stored sum.
    pub(super) fn read(self, connection: &Connection) -> Result<Sum, StoreError> {
        let value: Option<[u8; 16]> = connection
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")
            .and_then(|mut find| find.query_row([self.key()], |row| row.get(0)).optional())
            .map_err(failed("reading a digest"))?;
        let missing = || StoreError::damaged(format!("table meta, row {}", self.key()), "missing");
        Ok(Sum(u128::from_le_bytes(value.ok_or_else(missing)?)))
    }

    /// Replaces the stored sum.
    pub(super) fn write(self, connection: &Connection, sum: Sum) -> Result<(), StoreError> {
        connection
            .prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")
            .and_then(|mut replace| replace.execute((self.key(), sum.0.to_le_bytes().as_slice())))
            .map(|_| ())
            .map_err(failed("writing a digest"))
    }
}

/// A sum of checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum(u128);

impl Sum {
    pub(super) fn add(&mut self, checksum: &Checksum) {
        self.0 = self.0.wrapping_add(u128::from_le_bytes(*checksum.as_bytes()));
    }

    pub(super) fn subtract(&mut self, checksum: &Checksum) {
        self.0 = self.0.wrapping_sub(u128::from_le_bytes(*checksum.as_bytes()));
    }
}
