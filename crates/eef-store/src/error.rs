//! What goes wrong in a store.

use std::path::PathBuf;

use eef_core::TrajectoryId;

use crate::Checksum;

/// A failure of a store, a run lock, an import or an export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `read`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// SQLite failed.
    #[error("the store failed while {doing}: {source}")]
    Sqlite {
        /// What it was doing.
        doing: &'static str,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// The disk is full. The transaction was undone, so nothing that was acknowledged is lost.
    #[error(
        "no space left while {doing}: what was stored before is intact; free some space and run \
         the same command again"
    )]
    DiskFull {
        /// What it was doing.
        doing: &'static str,
    },
    /// The file holds something else.
    #[error("{} is not a trajectory store: {reason}", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What shows it.
        reason: String,
    },
    /// A newer program wrote the data.
    #[error(
        "{location} has format version {found}, this program reads up to {supported}: use a newer \
         program"
    )]
    NewerFormat {
        /// The file, or the record.
        location: String,
        /// Its version.
        found: u32,
        /// The newest known version.
        supported: u32,
    },
    /// Stored data is not what was written.
    #[error(
        "the store is damaged: {location}: {detail}; SqliteStore::repair (eef-cli repair \
         --run-dir …) keeps what is sound"
    )]
    Damaged {
        /// The table and row.
        location: String,
        /// What differs.
        detail: String,
    },
    /// A repair was killed while the store's file was not in its place.
    #[error(
        "a repair of {} was interrupted, the damaged file is now {}: SqliteStore::repair \
         (eef-cli repair --run-dir …) begins it again",
        path.display(),
        damaged.display()
    )]
    HalfRepaired {
        /// Where the store should be.
        path: PathBuf,
        /// Where the damaged file is.
        damaged: PathBuf,
    },
    /// A damaged store that must be left alone is open elsewhere.
    #[error("{} is open in another program: repair it when that has ended", path.display())]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// Nothing of a damaged store can be read.
    #[error(
        "nothing can be saved from {}: {detail}; it was left as it is: move it away, and the same \
         command begins anew",
        path.display()
    )]
    BeyondRepair {
        /// The store's file.
        path: PathBuf,
        /// Why nothing can be read.
        detail: String,
    },
    /// A different trajectory is stored under the same id.
    #[error(
        "trajectory {id} is stored with other content (checksum {stored}, now {given}): two \
         configurations write to one store, or a rollout is not deterministic"
    )]
    Conflict {
        /// The id.
        id: TrajectoryId,
        /// Checksum of what is stored.
        stored: Checksum,
        /// Checksum of what was given.
        given: Checksum,
    },
    /// A different unit of work is stored under the same key.
    #[error(
        "unit `{unit}` was completed with other results (checksum {stored}, now {given}): two \
         configurations write to one store, or the work is not deterministic"
    )]
    UnitConflict {
        /// The unit's key.
        unit: String,
        /// Checksum of what is stored.
        stored: Checksum,
        /// Checksum of what was given.
        given: Checksum,
    },
    /// A trajectory breaks a rule.
    #[error("trajectory {id} cannot be stored: {reason}")]
    Invalid {
        /// Which one.
        id: TrajectoryId,
        /// The rule and what breaks it.
        reason: String,
    },
    /// Another process works in the run directory.
    #[error(
        "{} is in use by {}: wait for it or choose another run directory",
        path.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The run directory.
        path: PathBuf,
        /// The other process, where it could be read.
        pid: Option<u32>,
    },
    /// A record of a file cannot be understood.
    #[error("{}:{line}: {message}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what was expected.
        message: String,
    },
}

impl StoreError {
    pub(crate) fn io(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn damaged(location: impl Into<String>, detail: impl Into<String>) -> Self {
        // SQLite's reports have several lines; a message has one.
        let detail = detail.into().lines().collect::<Vec<_>>().join("; ");
        Self::Damaged { location: location.into(), detail }
    }

    /// As a line in a list of damages: without the remedy, which is the same for all.
    pub(crate) fn finding(&self) -> String {
        match self {
            Self::Damaged { location, detail } => format!("{location}: {detail}"),
            other => other.to_string(),
        }
    }
}
