//! Rows of the tables `unit`, `incident` and `record`.

use eef_core::{Incident, TaskId, TrajectoryId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::errors::failed;
use super::rows::verify;
use crate::checksum::{Hasher, split_code, split_of_code};
use crate::incident_record::KindRecord;
use crate::{Checksum, StoreError, Unit};

/// A row of the table `unit`.
pub(super) struct UnitRow {
    pub(super) key: String,
    /// The ids, one after another.
    trajectories: Vec<u8>,
    n_incidents: i64,
    pub(super) content_checksum: Checksum,
    pub(super) checksum: Checksum,
}

impl UnitRow {
    pub(super) const COLUMNS: &str = "key, trajectories, n_incidents, content_checksum, checksum";

    pub(super) fn new(key: &str, unit: &Unit) -> Self {
        let ids = unit.trajectories.iter().flat_map(|id| *id.as_bytes());
        let mut row = Self {
            key: key.to_owned(),
            trajectories: ids.collect(),
            n_incidents: unit.incidents.len() as i64,
            content_checksum: unit.checksum(key),
            checksum: Checksum::from_bytes([0; 16]),
        };
        row.checksum = row.computed_checksum();
        row
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            trajectories: row.get(1)?,
            n_incidents: row.get(2)?,
            content_checksum: Checksum::from_bytes(row.get(3)?),
            checksum: Checksum::from_bytes(row.get(4)?),
        })
    }

    pub(super) fn find(connection: &Connection, key: &str) -> Result<Option<Self>, StoreError> {
        let columns = Self::COLUMNS;
        let row = connection
            .prepare_cached(&format!("SELECT {columns} FROM unit WHERE key = ?1"))
            .and_then(|mut find| find.query_row([key], Self::read).optional())
            .map_err(failed("reading a unit"))?;
        row.map(Self::verified).transpose()
    }

    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert =
            connection.prepare_cached("INSERT INTO unit VALUES (?1, ?2, ?3, ?4, ?5)")?;
        insert.execute(params![
            self.key,
            self.trajectories,
            self.n_incidents,
            self.content_checksum.as_bytes(),
            self.checksum.as_bytes(),
        ])?;
        Ok(())
    }

    pub(super) fn ids(&self) -> Vec<TrajectoryId> {
        let ids = self.trajectories.chunks_exact(16);
        ids.map(|bytes| {
            let mut id = [0; 16];
            id.copy_from_slice(bytes);
            TrajectoryId::from_bytes(id)
        })
        .collect()
    }

    /// The unit, with its incidents.
    pub(super) fn unit(&self, connection: &Connection) -> Result<Unit, StoreError> {
        let rows = IncidentRow::of_unit(connection, &self.key)?;
        let incidents = rows.iter().map(IncidentRow::incident).collect::<Result<_, _>>()?;
        let unit = Unit { trajectories: self.ids(), incidents };
        verify(self.content_checksum, unit.checksum(&self.key), || self.location())?;
        Ok(unit)
    }

    pub(super) fn verified(self) -> Result<Self, StoreError> {
        verify(self.checksum, self.computed_checksum(), || self.location())?;
        Ok(self)
    }

    pub(super) fn location(&self) -> String {
        format!("table unit, row `{}`", self.key)
    }

    fn computed_checksum(&self) -> Checksum {
        let mut hasher = Hasher::new("row of unit");
        hasher.text(&self.key);
        hasher.bytes(&self.trajectories);
        hasher.integer(self.n_incidents);
        hasher.bytes(self.content_checksum.as_bytes());
        hasher.finish()
    }
}

/// A row of the table `incident`.
pub(super) struct IncidentRow {
    unit: String,
    position: i64,
    job: [u8; 16],
    environment: String,
    split: i64,
    task_index: i64,
    kind: String,
    pub(super) checksum: Checksum,
}

impl IncidentRow {
    pub(super) const COLUMNS: &str =
        "unit, position, job, environment, split, task_index, kind, checksum";

    pub(super) fn new(
        unit: &str,
        position: usize,
        incident: &Incident,
    ) -> Result<Self, StoreError> {
        let kind = serde_json::to_string(&KindRecord::from(&incident.kind))
            .map_err(|error| StoreError::Invalid { id: incident.job, reason: error.to_string() })?;
        let mut row = Self {
            unit: unit.to_owned(),
            position: position as i64,
            job: *incident.job.as_bytes(),
            environment: incident.task.environment().to_owned(),
            split: split_code(incident.task.split()),
            task_index: i64::from(incident.task.index()),
            kind,
            checksum: Checksum::from_bytes([0; 16]),
        };
        row.checksum = row.computed_checksum();
        Ok(row)
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            unit: row.get(0)?,
            position: row.get(1)?,
            job: row.get(2)?,
            environment: row.get(3)?,
            split: row.get(4)?,
            task_index: row.get(5)?,
            kind: row.get(6)?,
            checksum: Checksum::from_bytes(row.get(7)?),
        })
    }

    fn of_unit(connection: &Connection, unit: &str) -> Result<Vec<Self>, StoreError> {
        let columns = Self::COLUMNS;
        let sql = format!("SELECT {columns} FROM incident WHERE unit = ?1 ORDER BY position");
        let rows = connection
            .prepare_cached(&sql)
            .and_then(|mut find| find.query_map([unit], Self::read)?.collect())
            .map_err(failed("reading incidents"))?;
        let rows: Vec<Self> = rows;
        rows.into_iter().map(Self::verified).collect()
    }

    /// All of them, ordered by unit and position.
    pub(super) fn all(connection: &Connection) -> Result<Vec<Self>, StoreError> {
        let columns = Self::COLUMNS;
        let rows: Vec<Self> = connection
            .prepare_cached(&format!("SELECT {columns} FROM incident ORDER BY unit, position"))
            .and_then(|mut find| find.query_map([], Self::read)?.collect())
            .map_err(failed("reading incidents"))?;
        rows.into_iter().map(Self::verified).collect()
    }

    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert = connection
            .prepare_cached("INSERT INTO incident VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
        insert.execute(params![
            self.unit,
            self.position,
            self.job,
            self.environment,
            self.split,
            self.task_index,
            self.kind,
            self.checksum.as_bytes(),
        ])?;
        Ok(())
    }

    pub(super) fn incident(&self) -> Result<Incident, StoreError> {
        let damaged = |detail: String| StoreError::damaged(self.location(), detail);
        let split = split_of_code(self.split)
            .ok_or_else(|| damaged(format!("unknown split {}", self.split)))?;
        let index = u32::try_from(self.task_index).map_err(|error| damaged(error.to_string()))?;
        let kind: KindRecord =
            serde_json::from_str(&self.kind).map_err(|error| damaged(error.to_string()))?;
        Ok(Incident {
            job: TrajectoryId::from_bytes(self.job),
            task: TaskId::new(self.environment.as_str(), split, index),
            kind: kind.into(),
        })
    }

    pub(super) fn verified(self) -> Result<Self, StoreError> {
        verify(self.checksum, self.computed_checksum(), || self.location())?;
        Ok(self)
    }

    fn location(&self) -> String {
        format!("table incident, row {} of unit `{}`", self.position, self.unit)
    }

    fn computed_checksum(&self) -> Checksum {
        let mut hasher = Hasher::new("row of incident");
        hasher.text(&self.unit);
        hasher.integer(self.position);
        hasher.bytes(&self.job);
        hasher.text(&self.environment);
        hasher.integer(self.split);
        hasher.integer(self.task_index);
        hasher.text(&self.kind);
        hasher.finish()
    }
}

/// A row of the table `record`.
pub(super) struct RecordRow {
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
    pub(super) checksum: Checksum,
}

impl RecordRow {
    pub(super) const COLUMNS: &str = "key, bytes, checksum";

    pub(super) fn new(key: &str, bytes: &[u8]) -> Self {
        let checksum = Self::computed_checksum(key, bytes);
        Self { key: key.to_owned(), bytes: bytes.to_vec(), checksum }
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let checksum = Checksum::from_bytes(row.get(2)?);
        Ok(Self { key: row.get(0)?, bytes: row.get(1)?, checksum })
    }

    pub(super) fn find(connection: &Connection, key: &str) -> Result<Option<Self>, StoreError> {
        let columns = Self::COLUMNS;
        let row = connection
            .prepare_cached(&format!("SELECT {columns} FROM record WHERE key = ?1"))
            .and_then(|mut find| find.query_row([key], Self::read).optional())
            .map_err(failed("reading a record"))?;
        row.map(Self::verified).transpose()
    }

    pub(super) fn replace(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut replace =
            connection.prepare_cached("INSERT OR REPLACE INTO record VALUES (?1, ?2, ?3)")?;
        replace.execute(params![self.key, self.bytes, self.checksum.as_bytes()])?;
        Ok(())
    }

    pub(super) fn verified(self) -> Result<Self, StoreError> {
        let computed = Self::computed_checksum(&self.key, &self.bytes);
        verify(self.checksum, computed, || format!("table record, row `{}`", self.key))?;
        Ok(self)
    }

    fn computed_checksum(key: &str, bytes: &[u8]) -> Checksum {
        let mut hasher = Hasher::new("row of record");
        hasher.text(key);
        hasher.bytes(bytes);
        hasher.finish()
    }
}
