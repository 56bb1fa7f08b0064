//! Tables, and the checks that a file must pass before it is used.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

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
    let not_ours = |reason: &str| StoreError::NotAStore {
        path: path.to_path_buf(),
        reason: reason.to_owned(),
    };
    // Nothing is written before the file is known to be ours.
    let n_objects =
        integer(&connection, "SELECT count(*) FROM sqlite_master").map_err(|error| {
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) {
                not_ours("it is no SQLite database, or its header is damaged")
            } else {
                failed("reading the store's tables")(error)
            }
        })?;
    let application = integer(&connection, "PRAGMA application_id")
        .map_err(failed("reading the store's header"))?;
    if n_objects > 0 && application != i64::from(APPLICATION_ID) {
        return Err(not_ours("it is another program's SQLite database"));
    }
    configure(&connection).map_err(failed("configuring the store"))?;
    if n_objects == 0 {
        create(connection, path)
    } else {
        check_format(&connection, path)?;
        Ok(connection)
    }
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

fn check_format(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let doing = "reading the store's format";
    let found: Option<u32> = connection
        .query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0))
        .optional()
        .map_err(failed(doing))?;
    match found {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => {
            let location = path.display().to_string();
            return Err(StoreError::NewerFormat { location, found, supported: FORMAT });
        }
        other => {
            return Err(StoreError::damaged("table meta", format!("no known format: {other:?}")));
        }
    }
    // A flipped bit in a table's definition would change what its columns mean.
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

fn integer(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection.query_row(sql, [], |row| row.get(0))
}
