//! The state index: for every state the positive trajectories that act in it, the best first.
//!
//! Derived from the trajectories; it can be thrown away and built again.

use std::cmp::Reverse;

use eef_core::{StateKey, Trajectory, TrajectoryId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::errors::failed;
use super::rows::verify;
use crate::checksum::Hasher;
use crate::store::{Rank, solved_states};
use crate::{Checksum, StoreError};

/// A row of the index, ordered as the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexRow {
    pub(super) state: StateKey,
    pub(super) rank: Rank,
    pub(super) checksum: Checksum,
}

pub(super) const COLUMNS: &str =
    "state, n_expert_actions, minus_round, n_actions, trajectory, checksum";

/// The rows that a trajectory contributes.
pub(super) fn rows_of(trajectory: &Trajectory) -> Vec<IndexRow> {
    let rank = Rank::of(trajectory);
    let states = solved_states(trajectory).into_iter();
    let rows = states.map(|state| IndexRow { state, rank, checksum: checksum(&state, &rank) });
    rows.collect()
}

/// The best trajectory of a state.
pub(super) fn best(
    connection: &Connection,
    state: &StateKey,
) -> Result<Option<TrajectoryId>, StoreError> {
    let row = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM state_index WHERE state = ?1
             ORDER BY n_expert_actions, minus_round, n_actions, trajectory LIMIT 1"
        ))
        .and_then(|mut find| find.query_row([state.as_bytes()], IndexRow::read).optional())
        .map_err(failed("looking up a state"))?;
    Ok(row.map(IndexRow::verified).transpose()?.map(|row| row.rank.id))
}

impl IndexRow {
    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert =
            connection.prepare_cached("INSERT INTO state_index VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        insert.execute(params![
            self.state.as_bytes(),
            self.rank.n_expert_actions as i64,
            -i64::from(self.rank.round.0),
            self.rank.n_actions as i64,
            self.rank.id.as_bytes(),
            self.checksum.as_bytes(),
        ])?;
        Ok(())
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let count = |column: usize| -> rusqlite::Result<usize> {
            let value: i64 = row.get(column)?;
            usize::try_from(value)
                .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
        };
        let minus_round: i64 = row.get(2)?;
        let round = u32::try_from(minus_round.wrapping_neg())
            .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(2, minus_round))?;
        Ok(Self {
            state: StateKey::from_bytes(row.get(0)?),
            rank: Rank {
                n_expert_actions: count(1)?,
                round: Reverse(round),
                n_actions: count(3)?,
                id: TrajectoryId::from_bytes(row.get(4)?),
            },
            checksum: Checksum::from_bytes(row.get(5)?),
        })
    }

    pub(super) fn verified(self) -> Result<Self, StoreError> {
        verify(self.checksum, checksum(&self.state, &self.rank), || self.location())?;
        Ok(self)
    }

    pub(super) fn location(&self) -> String {
        format!("table state_index, state {}, trajectory {}", self.state, self.rank.id)
    }
}

fn checksum(state: &StateKey, rank: &Rank) -> Checksum {
    let mut hasher = Hasher::new("row of state_index");
    hasher.bytes(state.as_bytes());
    hasher.integer(rank.n_expert_actions as i64);
    hasher.integer(i64::from(rank.round.0));
    hasher.integer(rank.n_actions as i64);
    hasher.bytes(rank.id.as_bytes());
    hasher.finish()
}
