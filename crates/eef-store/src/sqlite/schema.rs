//! Tables, and the checks that a file must pass before it is used.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use super::errors::failed;
use crate::StoreError;

/// The newest format that this crate writes and reads.
///
/// Format 1: the tables below. A new format adds a branch to `prepare` that reads, or migrates,
/// each older one; `tests/data` keeps a file written by every format.
pub(super) const FORMAT: u32 = 1;

/// Marks the file as ours ("EEFs").
const APPLICATION_ID: i32 = 0x4545_4673;

/// Bodies hold what the parent does not: `n_shared` leading steps come from it. Tokens lie in a
/// table of their own, so that reading texts reads no tokens. `state_index` is derived from
/// `trajectory`. Integers are SQLite's signed 64 bits; checksums cover every column of a row.
const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE trajectory (
  number INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  environment TEXT NOT NULL,
  split INTEGER NOT NULL,
  task_index INTEGER NOT NULL,
  expert TEXT,
  round INTEGER NOT NULL,
  sample INTEGER NOT NULL,
  parent BLOB,
  n_replayed INTEGER NOT NULL,
  n_actions INTEGER NOT NULL,
  n_expert_actions INTEGER NOT NULL,
  episode_end INTEGER NOT NULL,
  reward REAL NOT NULL,
  record_version INTEGER NOT NULL,
  n_shared INTEGER,
  body_length INTEGER NOT NULL,
  body BLOB NOT NULL,
  has_tokens INTEGER NOT NULL,
  content_checksum BLOB NOT NULL,
  checksum BLOB NOT NULL
);
CREATE INDEX trajectory_by_round ON trajectory (round, id);
CREATE INDEX trajectory_by_task ON trajectory (environment, split, task_index, id);
CREATE TABLE tokens (
  trajectory BLOB PRIMARY KEY,
  body_length INTEGER NOT NULL,
  body BLOB NOT NULL,
  checksum BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE state_index (
  state BLOB NOT NULL,
  n_expert_actions INTEGER NOT NULL,
  minus_round INTEGER NOT NULL,
  n_actions INTEGER NOT NULL,
  trajectory BLOB NOT NULL,
  checksum BLOB NOT NULL,
  PRIMARY KEY (state, n_expert_actions, minus_round, n_actions, trajectory)
) WITHOUT ROWID;
CREATE TABLE unit (
  key TEXT PRIMARY KEY,
  trajectories BLOB NOT NULL,
  n_incidents INTEGER NOT NULL,
  content_checksum BLOB NOT NULL,
  checksum BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE incident (
  unit TEXT NOT NULL,
  position INTEGER NOT NULL,
  job BLOB NOT NULL,
  environment TEXT NOT NULL,
  split INTEGER NOT NULL,
  task_index INTEGER NOT NULL,
  kind TEXT NOT NULL,
  checksum BLOB NOT NULL,
  PRIMARY KEY (unit, position)
) WITHOUT ROWID;
CREATE TABLE record (
  key TEXT PRIMARY KEY,
  bytes BLOB NOT NULL,
  checksum BLOB NOT NULL
) WITHOUT ROWID;
";

/// Opens a file, creating the tables in a new one, and checks that it is a store that this
/// program understands. Contents are checked elsewhere.
pub(super) fn prepare(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path).map_err(failed("opening the store"))?;
    if prepared(&connection, path)? == 0 {
        return create(connection, path);
    }
    check_format(&connection, path)?;
    Ok(connection)
}

/// As [`prepare`], for a file that is there, and keeps everybody else out of it.
///
/// `leniently`, the file may have lost its end, its format's number or a table: what is left is
/// read. Rows that a damaged definition garbles do not match their checksums.
pub(super) fn prepare_alone(path: &Path, leniently: bool) -> Result<Connection, StoreError> {
    let doing = "locking the store";
    let flags = OpenFlags::default().difference(OpenFlags::SQLITE_OPEN_CREATE);
    let connection = Connection::open_with_flags(path, flags).map_err(failed(doing))?;
    connection.busy_timeout(std::time::Duration::from_secs(1)).map_err(failed(doing))?;
    // Whoever has a store open holds a shared lock of its file. This connection takes the
    // exclusive one when it first reads, and holds it until it is closed.
    connection
        .pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))
        .map_err(failed(doing))?;
    if leniently {
        // SQLite's leave to read a file that is shorter than its header says.
        connection.pragma_update(None, "writable_schema", "ON").map_err(failed(doing))?;
    }
    if prepared(&connection, path)? == 0 {
        return create(connection, path);
    }
    match check_format(&connection, path) {
        Err(StoreError::Damaged { .. }) if leniently => Ok(connection),
        other => other.map(|()| connection),
    }
}

/// Configures a connection to one of our files, or to an empty one; gives the number of tables and
/// indexes. Nothing is written before the file is known to be ours.
fn prepared(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let not_ours = |reason: &str| StoreError::NotAStore {
        path: path.to_path_buf(),
        reason: reason.to_owned(),
    };
    let doing = "reading the store's header";
    // Two questions to one state of the file: another process may be creating the tables.
    let snapshot = connection.unchecked_transaction().map_err(failed(doing))?;
    let n_objects = integer(&snapshot, "SELECT count(*) FROM sqlite_master").map_err(|error| {
        if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) {
            not_ours("it is no SQLite database, or its header is damaged")
        } else {
            failed("reading the store's tables")(error)
        }
    })?;
    let application = integer(&snapshot, "PRAGMA application_id").map_err(failed(doing))?;
    drop(snapshot);
    match (n_objects, application == i64::from(APPLICATION_ID)) {
        (0, true) => return Err(StoreError::damaged("table definitions", "they are gone")),
        (1.., false) => return Err(not_ours("it is another program's SQLite database")),
        _ => {}
    }
    configure(connection).map_err(failed("configuring the store"))?;
    Ok(n_objects)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(32);
    // A commit that was acknowledged is on the disk: WAL with a sync for each commit.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")
}

fn create(mut connection: Connection, path: &Path) -> Result<Connection, StoreError> {
    let doing = "creating the store's tables";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed(doing))?;
    // Another process may have created them since we looked.
    let n_objects =
        integer(&transaction, "SELECT count(*) FROM sqlite_master").map_err(failed(doing))?;
    if n_objects == 0 {
        transaction.execute_batch(TABLES).map_err(failed(doing))?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed(doing))?;
        transaction
            .execute("INSERT INTO meta VALUES ('format', ?1)", [i64::from(FORMAT)])
            .map_err(failed(doing))?;
        let zero = [0_u8; 16].as_slice();
        for key in super::digest::KEYS {
            transaction
                .execute("INSERT INTO meta VALUES (?1, ?2)", (key, zero))
                .map_err(failed(doing))?;
        }
    }
    transaction.commit().map_err(failed(doing))?;
    check_format(&connection, path)?;
    Ok(connection)
}

/// Whether this program understands the file.
fn check_format(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let doing = "reading the store's format";
    let found: Option<u32> = connection
        .query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0))
        .optional()
        .map_err(|error| match error.sqlite_error_code() {
            // "No such table": the file was found to be ours.
            Some(ErrorCode::Unknown) => StoreError::damaged("table meta", error.to_string()),
            _ => failed(doing)(error),
        })?;
    match found {
        Some(FORMAT) => check_definitions(connection),
        Some(found) if found > FORMAT => {
            let location = path.display().to_string();
            Err(StoreError::NewerFormat { location, found, supported: FORMAT })
        }
        other => Err(StoreError::damaged("table meta", format!("no known format: {other:?}"))),
    }
}

/// A flipped bit in a table's definition would change what its columns mean.
fn check_definitions(connection: &Connection) -> Result<(), StoreError> {
    let doing = "reading the store's tables";
    let pristine = Connection::open_in_memory().map_err(failed(doing))?;
    pristine.execute_batch(TABLES).map_err(failed(doing))?;
    if definitions(connection)? != definitions(&pristine)? {
        return Err(StoreError::damaged("table definitions", "they are not those of this format"));
    }
    Ok(())
}

fn definitions(connection: &Connection) -> Result<Vec<(String, String, String)>, StoreError> {
    let doing = "reading the store's tables";
    let mut statement = connection
        .prepare(
            "SELECT type, name, coalesce(sql, '') FROM sqlite_master
             WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name",
        )
        .map_err(failed(doing))?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .map_err(failed(doing))?;
    rows.collect::<rusqlite::Result<_>>().map_err(failed(doing))
}

pub(super) fn integer(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection.query_row(sql, [], |row| row.get(0))
}
