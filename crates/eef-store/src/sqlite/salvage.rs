//! Taking what can be read out of a damaged store.

use std::collections::BTreeMap;

use eef_core::Trajectory;
use rusqlite::Connection;

use super::SqliteStore;
use super::maintenance::sweep;
use super::rows::{self, TokensRow, TrajectoryRow};
use super::units::{RecordRow, UnitRow};
use crate::{StoreError, TrajectoryStore};

/// Adds all that can be read to a fresh store; gives what could not, a line each.
pub(super) fn save(damaged: &SqliteStore, fresh: &SqliteStore) -> Result<Vec<String>, StoreError> {
    damaged.read(|connection| {
        let mut lost = Vec::new();
        save_all(connection, fresh, &mut lost)?;
        Ok(lost)
    })
}

fn save_all(
    connection: &Connection,
    fresh: &SqliteStore,
    lost: &mut Vec<String>,
) -> Result<(), StoreError> {
    let mut trajectories = BTreeMap::new();
    sweep(connection, "trajectory", rows::COLUMNS, TrajectoryRow::read, |row| {
        keep(row.and_then(TrajectoryRow::verified), |row| row.id, &mut trajectories, lost);
        Ok(())
    })?;
    let mut tokens = BTreeMap::new();
    sweep(connection, "tokens", TokensRow::COLUMNS, TokensRow::read, |row| {
        keep(row.and_then(TokensRow::verified), |row| row.id, &mut tokens, lost);
        Ok(())
    })?;
    let mut decoded = Decoded { rows: &trajectories, tokens: &tokens, done: BTreeMap::new() };
    for id in trajectories.keys() {
        if let Err(error) = decoded.trajectory(id) {
            lost.push(error.finding());
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
    sweep(connection, "unit", UnitRow::COLUMNS, UnitRow::read, |row| {
        keep(row.and_then(UnitRow::verified), |row| row.key.clone(), &mut units, lost);
        Ok(())
    })?;
    for row in units.values() {
        let unit = match row.unit(connection) {
            Ok(unit) => unit,
            Err(error) => {
                lost.push(error.finding());
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
    sweep(connection, "record", RecordRow::COLUMNS, RecordRow::read, |row| {
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
        Err(error) => lost.push(error.finding()),
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
