//! The durable store.

mod body;
mod digest;
mod errors;
mod index;
mod maintenance;
mod names;
mod repair;
mod rows;
mod salvage;
mod schema;
mod units;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eef_core::{Incident, Origin, StateKey, TaskId, Trajectory, TrajectoryId};
use rusqlite::{Connection, Params, Transaction, TransactionBehavior};

pub use maintenance::VerifyReport;
pub use repair::RepairReport;

use crate::checksum::split_code;
use crate::store::validate;
use crate::{AppendReport, Checksum, StoreError, TrajectoryStore, Unit};
use digest::{Digest, Sum};
use errors::failed;
use rows::{TokensRow, TrajectoryRow};
use units::{IncidentRow, RecordRow, UnitRow};

/// Trajectories in one SQLite file.
///
/// Every commit is on the disk when a call returns (WAL, `synchronous = FULL`). One connection
/// behind a mutex serves all threads: a commit costs a sync of the disk whatever it holds, so
/// results come as whole units of work ([`append_unit`](TrajectoryStore::append_unit)) and a
/// commit carries dozens of trajectories; writers that commit one by one from many connections
/// are an order of magnitude slower, and starve each other.
///
/// Every row carries a checksum over its columns, verified on every read; digests over whole
/// tables tell that a row vanished. A trajectory that grew from a stored one is stored as what
/// differs from it.
pub struct SqliteStore {
    connection: Mutex<Connection>,
}

type Cache = BTreeMap<TrajectoryId, Arc<Trajectory>>;

impl SqliteStore {
    /// Opens a store, creating it where there is none, and checks the whole file: damage is found
    /// here and not in the middle of a run. Reads the file once (a second for some 100,000
    /// trajectories). Others may write to it meanwhile: one state of it is checked.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] (see [`repair`](Self::repair)), [`StoreError::HalfRepaired`],
    /// [`StoreError::NewerFormat`], [`StoreError::NotAStore`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let store = Self::open_unchecked(path)?;
        store.read(maintenance::check)?;
        Ok(store)
    }

    /// Opens a store whose contents may be damaged, to [`verify`](Self::verify) it.
    /// What is read is still checked row by row.
    ///
    /// # Errors
    /// [`StoreError::NewerFormat`], [`StoreError::NotAStore`], [`StoreError::HalfRepaired`], and
    /// [`StoreError::Damaged`] where not even the tables are there.
    pub fn open_unchecked(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        repair::refuse_half_done(path)?;
        Ok(Self::of(schema::prepare(path)?))
    }

    /// Whether there is a store, or what an interrupted repair left of one.
    pub fn exists(path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        path.exists() || repair::half_done(path).is_some()
    }

    /// Reads every trajectory and recomputes everything that is derived; reports what differs.
    /// Others may write meanwhile: one state of the store is verified.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read at all.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.read(maintenance::verify)
    }

    /// Mends a damaged store: what can be read goes into a new file with everything derived built
    /// anew, and the damaged file is kept under another name. Units that lost a trajectory are no
    /// longer complete, so that the same command does that work again.
    ///
    /// The new file takes the damaged one's place in one step, so a process that is killed leaves
    /// one of the two, and repairing again is right after every failure. Programs that begin to
    /// use the store meanwhile are kept out by a [`RunLock`](crate::RunLock) that all of them
    /// take.
    ///
    /// # Errors
    /// [`StoreError::InUse`] where the store is open, [`StoreError::BeyondRepair`] where nothing
    /// can be read, [`StoreError`] where the new file cannot be written; the store is then as it
    /// was.
    pub fn repair(path: impl AsRef<Path>) -> Result<RepairReport, StoreError> {
        repair::repair(path.as_ref())
    }

    /// Lets the file grow by a number of pages (4 KiB each) from now on, or without limit: a
    /// quota for a run, and a full disk for tests.
    ///
    /// # Errors
    /// [`StoreError`] where the limit cannot be set.
    pub fn limit_pages(&self, n_more: Option<u32>) -> Result<(), StoreError> {
        let connection = self.lock();
        let doing = "limiting the store's size";
        let limit = match n_more {
            None => i64::from(u32::MAX - 1),
            Some(n_more) => {
                let n_pages: i64 = connection
                    .query_row("PRAGMA page_count", [], |row| row.get(0))
                    .map_err(failed(doing))?;
                n_pages + i64::from(n_more)
            }
        };
        connection
            .pragma_update_and_check(None, "max_page_count", limit, |_| Ok(()))
            .map_err(failed(doing))
    }

    fn of(connection: Connection) -> Self {
        Self { connection: Mutex::new(connection) }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction has undone it while unwinding.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a change as one transaction.
    fn change<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed(doing))?;
        let result = work(&transaction)?;
        transaction.commit().map_err(failed(doing))?;
        Ok(result)
    }

    /// Asks several questions of one state of the store, whatever others write meanwhile.
    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        // Deferred: it takes nothing from a writer. It ends when it is dropped, since there is
        // nothing to commit.
        let snapshot = connection
            .transaction_with_behavior(TransactionBehavior::Deferred)
            .map_err(failed("beginning to read"))?;
        work(&snapshot)
    }

    fn select(
        &self,
        condition: &str,
        parameters: impl Params,
    ) -> Result<Vec<Arc<Trajectory>>, StoreError> {
        self.read(|snapshot| {
            let rows = ids_where(snapshot, condition, parameters)?;
            let mut cache = Cache::new();
            rows.iter().map(|id| required(snapshot, id, &mut cache)).collect()
        })
    }
}

fn ids_where(
    connection: &Connection,
    condition: &str,
    parameters: impl Params,
) -> Result<Vec<TrajectoryId>, StoreError> {
    let sql = format!("SELECT id FROM trajectory {condition}");
    let ids = connection.prepare_cached(&sql).and_then(|mut select| {
        let id = |row: &rusqlite::Row<'_>| row.get(0).map(TrajectoryId::from_bytes);
        select.query_map(parameters, id)?.collect()
    });
    ids.map_err(failed("listing trajectories"))
}

/// A trajectory that an index names.
fn required(
    connection: &Connection,
    id: &TrajectoryId,
    cache: &mut Cache,
) -> Result<Arc<Trajectory>, StoreError> {
    load(connection, id, cache)?
        .ok_or_else(|| StoreError::damaged(format!("table trajectory, row {id}"), "missing"))
}

/// Reads a trajectory, and its ancestors as far as it shares steps with them.
fn load(
    connection: &Connection,
    id: &TrajectoryId,
    cache: &mut Cache,
) -> Result<Option<Arc<Trajectory>>, StoreError> {
    let mut descent: Vec<TrajectoryRow> = Vec::new();
    let mut next = Some(*id);
    let mut built: Option<Arc<Trajectory>> = None;
    while let Some(id) = next {
        if let Some(known) = cache.get(&id) {
            built = Some(Arc::clone(known));
            break;
        }
        let Some(row) = TrajectoryRow::find(connection, &id)? else {
            break;
        };
        if descent.iter().any(|child| child.id == row.id) {
            return Err(StoreError::damaged(row.location(), "it is its own ancestor"));
        }
        next = row.n_shared.and(row.parent).map(TrajectoryId::from_bytes);
        descent.push(row);
    }
    while let Some(row) = descent.pop() {
        let tokens = if row.has_tokens { TokensRow::find(connection, &row.id)? } else { None };
        let trajectory = Arc::new(row.decode(tokens.as_ref(), built.as_deref())?);
        cache.insert(trajectory.id, Arc::clone(&trajectory));
        built = Some(trajectory);
    }
    Ok(built)
}

/// Adds trajectories within a transaction.
fn add(
    transaction: &Transaction<'_>,
    trajectories: &[Trajectory],
    contents: &mut Sum,
) -> Result<AppendReport, StoreError> {
    let doing = "adding trajectories";
    let mut report = AppendReport::default();
    let mut index_sum = Digest::Index.read(transaction)?;
    let mut cache = Cache::new();
    for trajectory in trajectories {
        validate(trajectory)?;
        let given = Checksum::of(trajectory);
        if let Some(row) = TrajectoryRow::find(transaction, &trajectory.id)? {
            let stored = row.content_checksum;
            if stored != given {
                return Err(StoreError::Conflict { id: trajectory.id, stored, given });
            }
            report.n_known += 1;
            continue;
        }
        let parent = match &trajectory.origin {
            Origin::Rollout { parent: Some(parent), .. } => {
                load(transaction, &parent.trajectory, &mut cache)?
            }
            _ => None,
        };
        let (row, tokens) = TrajectoryRow::encode(trajectory, given, parent.as_deref())?;
        row.insert(transaction).map_err(failed(doing))?;
        contents.add(&row.checksum);
        if let Some(tokens) = tokens {
            tokens.insert(transaction).map_err(failed(doing))?;
            contents.add(&tokens.checksum);
        }
        for row in index::rows_of(trajectory) {
            row.insert(transaction).map_err(failed(doing))?;
            index_sum.add(&row.checksum);
        }
        report.n_new += 1;
    }
    Digest::Index.write(transaction, index_sum)?;
    Ok(report)
}

impl TrajectoryStore for SqliteStore {
    fn append(&self, trajectories: &[Trajectory]) -> Result<AppendReport, StoreError> {
        self.change("adding trajectories", |transaction| {
            let mut contents = Digest::Contents.read(transaction)?;
            let report = add(transaction, trajectories, &mut contents)?;
            Digest::Contents.write(transaction, contents)?;
            Ok(report)
        })
    }

    fn append_unit(
        &self,
        unit_key: &str,
        trajectories: &[Trajectory],
        incidents: &[Incident],
    ) -> Result<AppendReport, StoreError> {
        let doing = "adding a unit";
        self.change(doing, |transaction| {
            let mut contents = Digest::Contents.read(transaction)?;
            let report = add(transaction, trajectories, &mut contents)?;
            let unit = UnitRow::new(unit_key, &Unit::new(trajectories, incidents));
            if let Some(stored) = UnitRow::find(transaction, unit_key)? {
                let (stored, given) = (stored.content_checksum, unit.content_checksum);
                if stored != given {
                    let unit = unit_key.to_owned();
                    return Err(StoreError::UnitConflict { unit, stored, given });
                }
            } else {
                unit.insert(transaction).map_err(failed(doing))?;
                contents.add(&unit.checksum);
                for (position, incident) in incidents.iter().enumerate() {
                    let row = IncidentRow::new(unit_key, position, incident)?;
                    row.insert(transaction).map_err(failed(doing))?;
                    contents.add(&row.checksum);
                }
            }
            Digest::Contents.write(transaction, contents)?;
            Ok(report)
        })
    }

    fn unit(&self, unit_key: &str) -> Result<Option<Unit>, StoreError> {
        self.read(|snapshot| {
            let row = UnitRow::find(snapshot, unit_key)?;
            row.map(|row| row.unit(snapshot)).transpose()
        })
    }

    fn incidents(&self) -> Result<Vec<Incident>, StoreError> {
        IncidentRow::all(&self.lock())?.iter().map(IncidentRow::incident).collect()
    }

    fn get(&self, id: &TrajectoryId) -> Result<Option<Arc<Trajectory>>, StoreError> {
        self.read(|snapshot| load(snapshot, id, &mut Cache::new()))
    }

    fn contains(&self, id: &TrajectoryId) -> Result<bool, StoreError> {
        Ok(TrajectoryRow::find(&self.lock(), id)?.is_some())
    }

    fn n_trajectories(&self) -> Result<u64, StoreError> {
        let connection = self.lock();
        connection
            .prepare_cached("SELECT count(*) FROM trajectory")
            .and_then(|mut count| count.query_row([], |row| row.get(0)))
            .map_err(failed("counting trajectories"))
    }

    fn best_solution(&self, state: &StateKey) -> Result<Option<TrajectoryId>, StoreError> {
        index::best(&self.lock(), state)
    }

    fn positives_of(&self, task: &TaskId) -> Result<Vec<Arc<Trajectory>>, StoreError> {
        let condition = "WHERE environment = ?1 AND split = ?2 AND task_index = ?3 \
                         AND reward = 1.0 ORDER BY id";
        self.select(condition, (task.environment(), split_code(task.split()), task.index()))
    }

    fn experts(&self) -> Result<Vec<Arc<Trajectory>>, StoreError> {
        self.select("WHERE round = 0 AND expert IS NOT NULL ORDER BY id", [])
    }

    fn by_round(&self, round: u32) -> Result<Vec<Arc<Trajectory>>, StoreError> {
        self.select("WHERE round = ?1 ORDER BY id", [round])
    }

    fn ids(&self) -> Result<Vec<TrajectoryId>, StoreError> {
        ids_where(&self.lock(), "ORDER BY round, id", [])
    }

    fn put_record(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.change("writing a record", |transaction| {
            let mut contents = Digest::Contents.read(transaction)?;
            if let Some(old) = RecordRow::find(transaction, key)? {
                contents.subtract(&old.checksum);
            }
            let row = RecordRow::new(key, bytes);
            row.replace(transaction).map_err(failed("writing a record"))?;
            contents.add(&row.checksum);
            Digest::Contents.write(transaction, contents)
        })
    }

    fn record(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(RecordRow::find(&self.lock(), key)?.map(|row| row.bytes))
    }
}
