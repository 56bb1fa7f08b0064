//! Our own exchange format: a versioned record of one trajectory per line.

use std::io::Write;
use std::path::Path;

use eef_core::{Split, Trajectory};
use serde::Deserialize;

use crate::file::write_whole;
use crate::lines::{Lines, record_error};
use crate::record::{RECORD_VERSION, TrajectoryRecord};
use crate::{AppendReport, StoreError, TrajectoryStore};

/// Writes every trajectory of a store to a JSONL file, ordered by round and id: equal stores give
/// equal bytes. The file is complete as soon as it exists. Gives the number of trajectories.
///
/// The store of a run holds rollouts on validation and test tasks, too:
/// [`export_splits_jsonl`] writes what may be trained on.
///
/// # Errors
/// [`StoreError`] where the store cannot be read or the file cannot be written.
pub fn export_jsonl(
    store: &dyn TrajectoryStore,
    path: impl AsRef<Path>,
) -> Result<usize, StoreError> {
    Ok(export_splits_jsonl(store, &Split::ALL, path)?.n_written)
}

/// As [`export_jsonl`], only the trajectories on tasks of these splits.
///
/// # Errors
/// As [`export_jsonl`].
pub fn export_splits_jsonl(
    store: &dyn TrajectoryStore,
    splits: &[Split],
    path: impl AsRef<Path>,
) -> Result<ExportReport, StoreError> {
    let path = path.as_ref();
    write_whole(path, |writer| write_splits_jsonl(store, splits, writer, path))
}

/// Writes what [`export_jsonl`] writes to a writer such as stdout; `name` stands for it in errors.
///
/// # Errors
/// As [`export_jsonl`].
pub fn write_jsonl(
    store: &dyn TrajectoryStore,
    writer: &mut dyn Write,
    name: impl AsRef<Path>,
) -> Result<usize, StoreError> {
    Ok(write_splits_jsonl(store, &Split::ALL, writer, name)?.n_written)
}

/// As [`write_jsonl`], only the trajectories on tasks of these splits.
///
/// # Errors
/// As [`export_jsonl`].
pub fn write_splits_jsonl(
    store: &dyn TrajectoryStore,
    splits: &[Split],
    writer: &mut dyn Write,
    name: impl AsRef<Path>,
) -> Result<ExportReport, StoreError> {
    let name = name.as_ref();
    let mut report = ExportReport::default();
    for id in store.ids()? {
        let missing = || StoreError::damaged(format!("table trajectory, row {id}"), "missing");
        let trajectory = store.get(&id)?.ok_or_else(missing)?;
        if splits.contains(&trajectory.task.split()) {
            write_record(writer, &trajectory).map_err(StoreError::io("write", name))?;
            report.n_written += 1;
        } else {
            report.n_left_out += 1;
        }
    }
    Ok(report)
}

/// What an export of some splits did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ExportReport {
    /// Trajectories that were written.
    pub n_written: usize,
    /// Trajectories on tasks of other splits.
    pub n_left_out: usize,
}

fn write_record(writer: &mut dyn Write, trajectory: &Trajectory) -> std::io::Result<()> {
    let record = TrajectoryRecord::from(trajectory);
    serde_json::to_writer(&mut *writer, &record)?;
    writer.write_all(b"\n")
}

/// Reads the trajectories of a file that [`export_jsonl`] wrote, in its order.
///
/// # Errors
/// [`StoreError::Record`] with the line of the first record that is not as it should be,
/// [`StoreError::NewerFormat`] where a newer program wrote it.
pub fn read_jsonl(path: impl AsRef<Path>) -> Result<Vec<Trajectory>, StoreError> {
    let path = path.as_ref();
    let mut trajectories = Vec::new();
    let mut lines = Lines::open(path)?;
    while let Some((line, text)) = lines.next_line()? {
        let failed =
            |message: String| StoreError::Record { path: path.to_path_buf(), line, message };
        let Versioned { version } = serde_json::from_str(text)
            .map_err(|error| record_error(path, line, "a trajectory record", &error))?;
        match version {
            1 => {}
            newer if newer > RECORD_VERSION => {
                let location = format!("{}:{line}", path.display());
                let supported = RECORD_VERSION;
                return Err(StoreError::NewerFormat { location, found: newer, supported });
            }
            other => return Err(failed(format!("there is no record version {other}"))),
        }
        let record: TrajectoryRecord = serde_json::from_str(text)
            .map_err(|error| record_error(path, line, "a trajectory record", &error))?;
        trajectories.push(record.into_trajectory().map_err(failed)?);
    }
    Ok(trajectories)
}

/// Adds the trajectories of a file that [`export_jsonl`] wrote: all of them, or none.
///
/// # Errors
/// As [`read_jsonl`] and [`TrajectoryStore::append`].
pub fn import_jsonl(
    store: &dyn TrajectoryStore,
    path: impl AsRef<Path>,
) -> Result<AppendReport, StoreError> {
    store.append(&read_jsonl(path)?)
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}
