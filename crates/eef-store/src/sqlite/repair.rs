//! Saving what can be read of a damaged store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eef_core::Trajectory;

use super::SqliteStore;
use super::maintenance::sweep;
use super::rows::{self, TokensRow, TrajectoryRow};
use super::units::{RecordRow, UnitRow};
use crate::{StoreError, TrajectoryStore};

/// What [`SqliteStore::repair`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairReport {
    /// Trajectories that the repaired store holds.
    pub n_trajectories: u64,
    /// What could not be saved, a line each.
    pub lost: Vec<String>,
    /// Where the damaged file is now; `None` where nothing was damaged and nothing was done.
    pub damaged_copy: Option<PathBuf>,
}

/// Writes all that can be read into a new file, and puts that in the damaged one's place.
pub(super) fn repair(path: &Path) -> Result<RepairReport, StoreError> {
    let damaged = SqliteStore::open_unchecked(path)?;
    let verified = damaged.verify();
    if let Ok(report) = &verified
        && report.is_sound()
    {
        let n_trajectories = report.n_trajectories;
        return Ok(RepairReport { n_trajectories, lost: Vec::new(), damaged_copy: None });
    }
    let fresh_path = beside(path, "repairing");
    remove_store(&fresh_path)?;
    let mut lost = Vec::new();
    let fresh = SqliteStore::open(&fresh_path)?;
    save(&damaged, &fresh, &mut lost)?;
    let n_trajectories = fresh.n_trajectories()?;
    // Closing folds the write-ahead logs into the files.
    drop(fresh);
    drop(damaged);
    let damaged_copy = free_name(path);
    for suffix in SUFFIXES {
        let from = with_suffix(path, suffix);
        if from.exists() {
            let to = with_suffix(&damaged_copy, suffix);
            std::fs::rename(&from, to).map_err(StoreError::io("rename", &from))?;
        }
    }
    std::fs::rename(&fresh_path, path).map_err(StoreError::io("rename", &fresh_path))?;
    crate::file::sync_folder_of(path)?;
    Ok(RepairReport { n_trajectories, lost, damaged_copy: Some(damaged_copy) })
}

/// The file and what SQLite keeps beside it.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

fn save(
    damaged: &SqliteStore,
    fresh: &SqliteStore,
    lost: &mut Vec<String>,
) -> Result<(), StoreError> {
    let connection = damaged.lock();
    let mut trajectories = BTreeMap::new();
    sweep(&connection, "trajectory", rows::COLUMNS, TrajectoryRow::read, |row| {
        keep(row.and_then(TrajectoryRow::verified), |row| row.id, &mut trajectories, lost);
        Ok(())
    })?;
    let mut tokens = BTreeMap::new();
    sweep(&connection, "tokens", TokensRow::COLUMNS, TokensRow::read, |row| {
        keep(row.and_then(TokensRow::verified), |row| row.id, &mut tokens, lost);
        Ok(())
    })?;
    let mut decoded = Decoded { rows: &trajectories, tokens: &tokens, done: BTreeMap::new() };
    for id in trajectories.keys() {
        if let Err(error) = decoded.trajectory(id) {
            lost.push(error.to_string());
        }
    }
    let decoded = decoded.done;
    // Parents first, so that what grew from them is stored as a difference.
    let mut saved: Vec<&Trajectory> = decoded.values().collect();
    saved.sort_by_key(|trajectory| (trajectory.origin.round(), trajectory.id));
    for batch in saved.chunks(256) {
        fresh.append(&batch.iter().copied().cloned().collect::<Vec<_>>())?;
    }
    let mut units = BTreeMap::new();
    sweep(&connection, "unit", UnitRow::COLUMNS, UnitRow::read, |row| {
        keep(row.and_then(UnitRow::verified), |row| row.key.clone(), &mut units, lost);
        Ok(())
    })?;
    for row in units.values() {
        let unit = match row.unit(&connection) {
            Ok(unit) => unit,
            Err(error) => {
                lost.push(error.to_string());
                continue;
            }
        };
        let members: Option<Vec<Trajectory>> =
            unit.trajectories.iter().map(|id| decoded.get(id.as_bytes()).cloned()).collect();
        match members {
            Some(members) => {
                fresh.append_unit(&row.key, &members, &unit.incidents)?;
            }
            None => lost.push(format!("{}: a trajectory of it is lost", row.location())),
        }
    }
    let mut records = BTreeMap::new();
    sweep(&connection, "record", RecordRow::COLUMNS, RecordRow::read, |row| {
        keep(row.and_then(RecordRow::verified), |row| row.key.clone(), &mut records, lost);
        Ok(())
    })?;
    records.values().try_for_each(|row| fresh.put_record(&row.key, &row.bytes))
}

fn keep<K: Ord, R>(
    row: Result<R, StoreError>,
    key: impl Fn(&R) -> K,
    kept: &mut BTreeMap<K, R>,
    lost: &mut Vec<String>,
) {
    match row {
        Ok(row) => {
            kept.insert(key(&row), row);
        }
        Err(error) => lost.push(error.to_string()),
    }
}

/// Trajectories put together from rows alone: the file's indexes may be damaged.
struct Decoded<'a> {
    rows: &'a BTreeMap<[u8; 16], TrajectoryRow>,
    tokens: &'a BTreeMap<[u8; 16], TokensRow>,
    done: BTreeMap<[u8; 16], Trajectory>,
}

impl Decoded<'_> {
    /// Puts one together, its ancestors first.
    fn trajectory(&mut self, id: &[u8; 16]) -> Result<(), StoreError> {
        let mut descent: Vec<&TrajectoryRow> = Vec::new();
        let mut next = Some(*id);
        while let Some(id) = next.filter(|id| !self.done.contains_key(id)) {
            let Some(row) = self.rows.get(&id) else { break };
            if descent.iter().any(|child| child.id == id) {
                return Err(StoreError::damaged(row.location(), "it is its own ancestor"));
            }
            descent.push(row);
            next = row.n_shared.and(row.parent);
        }
        while let Some(row) = descent.pop() {
            let parent = row.parent.and_then(|parent| self.done.get(&parent));
            let trajectory = row.decode(self.tokens.get(&row.id), parent)?;
            self.done.insert(row.id, trajectory);
        }
        Ok(())
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn beside(path: &Path, word: &str) -> PathBuf {
    with_suffix(path, &format!(".{word}"))
}

fn free_name(path: &Path) -> PathBuf {
    let mut name = beside(path, "damaged");
    let mut number = 2;
    while name.exists() {
        name = beside(path, &format!("damaged-{number}"));
        number += 1;
    }
    name
}

fn remove_store(path: &Path) -> Result<(), StoreError> {
    for suffix in SUFFIXES {
        let path = with_suffix(path, suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
