//! Durable trajectory storage: SQLite with checksums, and an in-memory twin.
//!
//! A run keeps every trajectory, positive or not, in a [`TrajectoryStore`]: [`SqliteStore`] on the
//! disk, [`MemoryStore`] in tests. Selection asks it for `GetTraj` of a state
//! ([`best_solution`](TrajectoryStore::best_solution), one look-up), and a run that was interrupted
//! asks it which units of work are complete.
//!
//! The decision behind it: what was stored is either given back as it was or reported as damaged.
//! Every row carries a checksum that is verified on every read, digests tell that a row vanished,
//! and adding the same thing twice is harmless while adding something else under the same id is an
//! error. Domain types are not the file format: records have versions, and a file written by an
//! older version of this crate stays readable.
//!
//! ```
//! use eef_core::{
//!     Action, Author, EpisodeEnd, Observation, Origin, Outcome, Reward, Split, StateKey, Step,
//!     TaskId, Trajectory, TrajectoryId,
//! };
//! use eef_store::{MemoryStore, TrajectoryStore};
//!
//! let task = TaskId::new("shop", Split::Train, 0);
//! let solved = Trajectory {
//!     id: TrajectoryId::derive(&[b"teacher", b"shop/train/0"]),
//!     task: task.clone(),
//!     instruction: "buy a mug".into(),
//!     first_observation: Observation::new("a search bar"),
//!     steps: vec![Step {
//!         reply: "buy mug".into(),
//!         action: Action::new("buy mug"),
//!         observation: Observation::new("bought"),
//!         author: Author::Expert("teacher".into()),
//!         sampled: None,
//!     }],
//!     origin: Origin::Expert { name: "teacher".into() },
//!     outcome: Outcome { end: EpisodeEnd::Terminated, reward: Reward::ONE },
//! };
//! let store = MemoryStore::new();
//! assert_eq!(store.append(&[solved.clone()])?.n_new, 1);
//! assert_eq!(store.append(&[solved.clone()])?.n_known, 1);
//! assert_eq!(store.best_solution(&StateKey::initial(&task))?, Some(solved.id));
//! # Ok::<(), eef_store::StoreError>(())
//! ```

mod checksum;
mod error;
mod file;
mod foreign;
mod incident_record;
mod jsonl;
mod lines;
mod lock;
mod memory;
mod record;
mod sqlite;
mod store;

pub use checksum::Checksum;
pub use error::StoreError;
pub use file::write_whole;
pub use foreign::{ForeignFormat, ForeignMessage, ForeignTrajectory, read_foreign};
pub use jsonl::{
    ExportReport, export_jsonl, export_splits_jsonl, import_jsonl, read_jsonl, write_jsonl,
    write_splits_jsonl,
};
pub use lock::RunLock;
pub use memory::MemoryStore;
pub use sqlite::{RepairReport, SqliteStore, VerifyReport};
pub use store::{AppendReport, TrajectoryStore, Unit};

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
