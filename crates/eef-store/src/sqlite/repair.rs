//! Putting a repaired store in a damaged one's place.
//!
//! The repaired store is written beside the damaged one. Then the damaged file gets a second name,
//! and the repaired one takes its first name in one step: at every moment one of the two is there.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::errors::failed;
use super::names::{damaged_copies, fresh_name, log_name, remove_store, second_name};
use super::{SqliteStore, maintenance, salvage, schema};
use crate::file::sync_folder_of;
use crate::{StoreError, TrajectoryStore};

/// What [`SqliteStore::repair`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairReport {
    /// Trajectories that the store holds now.
    pub n_trajectories: u64,
    /// Complete units of work that it holds now.
    pub n_units: u64,
    /// What was damaged, a line each.
    pub damages: Vec<String>,
    /// What could not be saved, a line each. A row that vanished and belonged to no unit of work
    /// is not among them: only [`damages`](Self::damages) tells.
    pub lost: Vec<String>,
    /// Where the damaged file is now; `None` where nothing was damaged and nothing was done.
    pub damaged_copy: Option<PathBuf>,
}

/// Writes all that can be read into a new file, and puts that in the damaged one's place.
pub(super) fn repair(path: &Path) -> Result<RepairReport, StoreError> {
    repair_in_steps(path, &mut || ())
}

/// The damaged file of a repair that was killed while it had been moved away and the repaired one
/// was not in its place yet. Repairs leave no such gap today.
pub(super) fn half_done(path: &Path) -> Option<PathBuf> {
    if path.exists() || !fresh_name(path).exists() {
        return None;
    }
    damaged_copies(path).pop()
}

/// Opening the store would make an empty one in the gap.
pub(super) fn refuse_half_done(path: &Path) -> Result<(), StoreError> {
    match half_done(path) {
        None => Ok(()),
        Some(damaged) => Err(StoreError::HalfRepaired { path: path.to_path_buf(), damaged }),
    }
}

/// Calls `between` wherever a kill leaves other files than before.
fn repair_in_steps(path: &Path, between: &mut dyn FnMut()) -> Result<RepairReport, StoreError> {
    if let Some(damaged) = half_done(path) {
        put_back(&damaged, path, between)?;
    }
    let (damaged, mut damages) = open_alone(path)?;
    let fresh = fresh_name(path);
    // A new file, since nobody knows how far an earlier repair has come.
    remove_store(&fresh)?;
    between();
    match damaged.verify() {
        Ok(report) => damages.extend(report.damages),
        Err(error) => damages.push(error.finding()),
    }
    if damages.is_empty() {
        return report_of(&damaged, damages);
    }
    let result = replace(damaged, path, damages, between);
    if result.is_err() {
        // Half a store is of no use to anybody; that it cannot be removed is not the news.
        let _ = remove_store(&fresh);
    }
    result
}

fn replace(
    damaged: SqliteStore,
    path: &Path,
    damages: Vec<String>,
    between: &mut dyn FnMut(),
) -> Result<RepairReport, StoreError> {
    let fresh_path = fresh_name(path);
    let fresh = SqliteStore::open(&fresh_path)?;
    between();
    let lost = salvage::save(&damaged, &fresh)?;
    if fresh.is_empty()? {
        // The first of them; the others may be as many as there are rows.
        let detail = damages.into_iter().next().unwrap_or_default();
        return Err(StoreError::BeyondRepair { path: path.to_path_buf(), detail });
    }
    between();
    fresh.read(maintenance::check)?;
    let report = report_of(&fresh, damages)?;
    close_folded(fresh, &fresh_path)?;
    between();
    // A log that stayed would be replayed over the new file.
    close_folded(damaged, path)?;
    between();
    let damaged_copy = second_name(path)?;
    between();
    std::fs::rename(&fresh_path, path).map_err(StoreError::io("rename", &fresh_path))?;
    sync_folder_of(path)?;
    between();
    Ok(RepairReport { lost, damaged_copy: Some(damaged_copy), ..report })
}

fn report_of(store: &SqliteStore, damages: Vec<String>) -> Result<RepairReport, StoreError> {
    let n_units: i64 = schema::integer(&store.lock(), "SELECT count(*) FROM unit")
        .map_err(failed("counting units"))?;
    Ok(RepairReport {
        n_trajectories: store.n_trajectories()?,
        n_units: n_units.cast_unsigned(),
        damages,
        lost: Vec::new(),
        damaged_copy: None,
    })
}

impl SqliteStore {
    /// Whether nothing was ever added.
    fn is_empty(&self) -> Result<bool, StoreError> {
        let n_rows = "SELECT (SELECT count(*) FROM trajectory) + (SELECT count(*) FROM unit)
                      + (SELECT count(*) FROM record)";
        Ok(schema::integer(&self.lock(), n_rows).map_err(failed("counting rows"))? == 0)
    }
}

/// Gives a damaged file its place again. Its log goes first: the other way round a kill could
/// leave the file without it.
fn put_back(damaged: &Path, path: &Path, between: &mut dyn FnMut()) -> Result<(), StoreError> {
    for (from, to) in [(log_name(damaged), log_name(path)), (damaged.to_path_buf(), path.into())] {
        if from.exists() {
            std::fs::rename(&from, &to).map_err(StoreError::io("rename", &from))?;
            between();
        }
    }
    sync_folder_of(path)
}

/// Opens a damaged store and keeps everybody else out of it; gives what is damaged so badly that
/// the store cannot be opened as others are.
fn open_alone(path: &Path) -> Result<(SqliteStore, Vec<String>), StoreError> {
    if !path.exists() {
        let absent = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(StoreError::io("repair", path)(absent));
    }
    let mut damages = Vec::new();
    let connection = match schema::prepare_alone(path, false) {
        Err(error @ StoreError::Damaged { .. }) => {
            damages.push(error.finding());
            schema::prepare_alone(path, true)
        }
        other => other,
    };
    let connection = connection.map_err(|error| match error {
        StoreError::Sqlite { source, .. } if is_busy(&source) => {
            StoreError::InUse { path: path.to_path_buf() }
        }
        // What is damaged here keeps everything else from being read.
        StoreError::Damaged { .. } => {
            StoreError::BeyondRepair { path: path.to_path_buf(), detail: error.finding() }
        }
        other => other,
    })?;
    Ok((SqliteStore::of(connection), damages))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Moves a store's log into its file and closes it: from then on the file is all of it.
fn close_folded(store: SqliteStore, path: &Path) -> Result<(), StoreError> {
    let doing = "closing a store";
    let connection =
        store.connection.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(failed(doing))?;
    connection.close().map_err(|(_, error)| failed(doing)(error))?;
    match std::fs::metadata(log_name(path)) {
        // Somebody opened it the moment before.
        Ok(log) if log.len() > 0 => return Err(StoreError::InUse { path: path.to_path_buf() }),
        _ => {}
    }
    let file = std::fs::File::open(path).map_err(StoreError::io("open", path))?;
    file.sync_all().map_err(StoreError::io("sync", path))
}
