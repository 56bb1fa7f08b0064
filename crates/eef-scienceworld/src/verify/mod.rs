//! Comparison with recordings of the original simulator, driven by its own Python interface.
//!
//! [`verify`] reads recordings where they lie. What is compared is stated in [`FILES`]. Episodes are
//! played in an order that a seed shuffles, several at once: neither may show.
//!
//! ```no_run
//! use eef_scienceworld::{Jar, verify};
//!
//! let jar = Jar::open("scienceworld.jar".as_ref())?;
//! for check in verify::verify(&jar, "reference".as_ref(), &verify::VerifyOptions::default())? {
//!     println!("{}: {} of {} differ", check.file, check.mismatches, check.cases);
//! }
//! # Ok::<(), eef_scienceworld::ScienceWorldError>(())
//! ```

mod episodes;
mod tally;

use std::path::Path;

use eef_core::Seed;
use serde::Serialize;
use serde_json::Value;

use crate::error::ScienceWorldError;
use crate::jar::Jar;
use crate::pool::{PoolOptions, WorkerPool};

/// The recordings that can be compared, and what is.
pub const FILES: [(&str, &str); 1] = [(
    "traces.jsonl",
    "at the start the task's description, what is seen and what is carried; after every action \
     observation, score, score in hundredths, whether the task is completed, and moves; at the end \
     the subgoals met and the number of valid actions",
)];

/// How a comparison is made.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// The workers; as many episodes are played at once as they have simulators.
    pub pool: PoolOptions,
    /// Shuffles the episodes; 0 leaves them in their order.
    pub seed: u64,
}

/// How one file compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileCheck {
    /// Its name.
    pub file: &'static str,
    /// Cases compared: starts, steps and ends of episodes.
    pub cases: usize,
    /// Cases in which something differs.
    pub mismatches: usize,
    /// The first of these, in the order of the file.
    pub first: Option<Mismatch>,
}

/// A case in which something differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// Which line, from 1, and which step.
    pub case: String,
    /// What differs.
    pub what: &'static str,
    /// As recorded.
    pub expected: Value,
    /// As it is here.
    pub found: Value,
}

/// Compares every file of [`FILES`] that a directory holds with the jar's simulator.
///
/// # Errors
/// A file that cannot be read or understood; [`ScienceWorldError::NothingToVerify`] where there is
/// no recording, or one without a case; failures of the workers.
pub fn verify(
    jar: &Jar,
    reference: &Path,
    options: &VerifyOptions,
) -> Result<Vec<FileCheck>, ScienceWorldError> {
    let pool = WorkerPool::new(jar.clone(), options.pool.clone())?;
    let mut checks = Vec::new();
    for (file, _) in FILES {
        let path = reference.join(file);
        if path.exists() {
            checks.push(episodes::traces(&pool, file, &path, Seed::new(options.seed))?);
        }
    }
    if checks.is_empty() {
        let expected = FILES.map(|(file, _)| file).join(", ");
        return Err(ScienceWorldError::NothingToVerify { path: reference.to_owned(), expected });
    }
    Ok(checks)
}
