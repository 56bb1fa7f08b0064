//! Looking for damage.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row};

use super::digest::{Digest, Sum};
use super::errors::failed;
use super::index::{self, IndexRow};
use super::rows::{TokensRow, TrajectoryRow};
use super::units::{IncidentRow, RecordRow, UnitRow};
use super::{Cache, ids_where, required};
use crate::{Checksum, StoreError};

/// What [`SqliteStore::verify`](crate::SqliteStore::verify) found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Trajectories that are what was written.
    pub n_trajectories: u64,
    /// Rows of the state index.
    pub n_index_rows: u64,
    /// What is damaged, a line each.
    pub damages: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty()
    }
}

/// What to do about a damage: give up with it, or note it and go on.
type OnDamage<'a> = &'a mut dyn FnMut(StoreError) -> Result<(), StoreError>;

/// Fails at the first damage. Bodies are compared with their checksums but not decoded.
///
/// Rows and digests are read one after another and must agree: so within one transaction, here as
/// in [`verify`].
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    structure(connection, &mut Err)?;
    contents(connection, &mut Err)?;
    state_index(connection, &mut Err)?;
    Ok(())
}

/// Finds all damage.
pub(super) fn verify(connection: &Connection) -> Result<VerifyReport, StoreError> {
    let mut report = VerifyReport::default();
    let mut note = |error: StoreError| {
        report.damages.push(error.finding());
        Ok(())
    };
    structure(connection, &mut note)?;
    contents(connection, &mut note)?;
    let found = state_index(connection, &mut note)?;
    let mut expected = BTreeSet::new();
    let mut n_trajectories = 0;
    let mut cache = Cache::new();
    for id in ids_where(connection, "ORDER BY round, id", [])? {
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        match required(connection, &id, &mut cache) {
            Ok(trajectory) => {
                n_trajectories += 1;
                expected.extend(index::rows_of(&trajectory));
            }
            Err(error) => note(error)?,
        }
    }
    for row in expected.difference(&found) {
        note(StoreError::damaged(row.location(), "missing"))?;
    }
    for row in found.difference(&expected) {
        note(StoreError::damaged(row.location(), "no such trajectory solves this state"))?;
    }
    report.n_trajectories = n_trajectories;
    report.n_index_rows = found.len() as u64;
    Ok(report)
}

/// Trajectories kept in memory while all are read: most parents come before their children, and most
/// children are near.
const MAX_CACHED: usize = 4096;

/// SQLite's own check: pages, free space, and that its indexes hold what the tables hold.
fn structure(connection: &Connection, on_damage: OnDamage<'_>) -> Result<(), StoreError> {
    let lines: rusqlite::Result<Vec<String>> = connection
        .prepare("PRAGMA integrity_check")
        .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect());
    match lines.map_err(failed("checking the file's structure")) {
        Ok(lines) => lines
            .into_iter()
            .filter(|line| line != "ok")
            .try_for_each(|line| on_damage(StoreError::damaged("structure of the file", line))),
        Err(error) => on_damage(error),
    }
}

/// Compares every row but the index's with its checksum, and their sum with the digest.
fn contents(connection: &Connection, on_damage: OnDamage<'_>) -> Result<(), StoreError> {
    let mut sum = Sum::default();
    let mut add = |result: Result<Checksum, StoreError>| match result {
        Ok(checksum) => {
            sum.add(&checksum);
            Ok(())
        }
        Err(error) => on_damage(error),
    };
    let columns = super::rows::COLUMNS;
    sweep(connection, "trajectory", columns, TrajectoryRow::read, |row| {
        add(row.and_then(TrajectoryRow::verified).map(|row| row.checksum))
    })?;
    sweep(connection, "tokens", TokensRow::COLUMNS, TokensRow::read, |row| {
        add(row.and_then(TokensRow::verified).map(|row| row.checksum))
    })?;
    sweep(connection, "unit", UnitRow::COLUMNS, UnitRow::read, |row| {
        add(row.and_then(UnitRow::verified).map(|row| row.checksum))
    })?;
    sweep(connection, "incident", IncidentRow::COLUMNS, IncidentRow::read, |row| {
        add(row.and_then(IncidentRow::verified).map(|row| row.checksum))
    })?;
    sweep(connection, "record", RecordRow::COLUMNS, RecordRow::read, |row| {
        add(row.and_then(RecordRow::verified).map(|row| row.checksum))
    })?;
    compare(connection, Digest::Contents, sum, on_damage)
}

/// Compares every row of the index with its checksum, and their sum with the digest.
fn state_index(
    connection: &Connection,
    on_damage: OnDamage<'_>,
) -> Result<BTreeSet<IndexRow>, StoreError> {
    let mut found = BTreeSet::new();
    let mut sum = Sum::default();
    sweep(connection, "state_index", index::COLUMNS, IndexRow::read, |row| {
        match row.and_then(IndexRow::verified) {
            Ok(row) => {
                sum.add(&row.checksum);
                found.insert(row);
                Ok(())
            }
            Err(error) => on_damage(error),
        }
    })?;
    compare(connection, Digest::Index, sum, on_damage)?;
    Ok(found)
}

fn compare(
    connection: &Connection,
    digest: Digest,
    sum: Sum,
    on_damage: OnDamage<'_>,
) -> Result<(), StoreError> {
    match digest.read(connection) {
        Ok(stored) if stored == sum => Ok(()),
        Ok(_) => {
            let detail = "rows are missing, or were changed by another program";
            on_damage(StoreError::damaged(format!("{digest:?} digest"), detail))
        }
        Err(error) => on_damage(error),
    }
}

/// Reads a table from end to end, in the order in which it lies in the file.
pub(super) fn sweep<R>(
    connection: &Connection,
    table: &'static str,
    columns: &str,
    read: fn(&Row<'_>) -> rusqlite::Result<R>,
    mut each: impl FnMut(Result<R, StoreError>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    // NOT INDEXED: a row that an index has lost is found, too.
    let sql = format!("SELECT {columns} FROM {table} NOT INDEXED");
    let mut statement = match connection.prepare(&sql) {
        Ok(statement) => statement,
        Err(error) => return each(Err(failed("finding a table")(error))),
    };
    let mut rows = statement.query([]).map_err(failed("reading a table"))?;
    loop {
        match rows.next() {
            Ok(Some(row)) => each(read(row).map_err(failed("reading a row")))?,
            Ok(None) => return Ok(()),
            // Nothing more can be read.
            Err(error) => return each(Err(failed("reading a table")(error))),
        }
    }
}
