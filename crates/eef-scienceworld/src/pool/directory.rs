//! Private directories of workers, and what remains of those of dead programs.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::ScienceWorldError;
use crate::jar::{Jar, OBJECT_TYPES};
use crate::protocol::TOKEN_FILE;

/// What the directories of pools are called in the system's folder for temporary files.
const PREFIX: &str = "eef-scienceworld-";

/// The file that a pool keeps locked while it lives.
const LOCK_FILE: &str = "lock";

/// How often making a directory is tried while others clean up.
const MAX_ATTEMPTS: u32 = 100;

/// A pool's directory: removed when the pool is dropped, or by the next pool if this program dies.
#[derive(Debug)]
pub(super) struct PoolDirectory {
    directory: TempDir,
    _lock: File,
}

impl PoolDirectory {
    /// Removes what dead programs left in `parent` and makes a directory there.
    pub(super) fn new(parent: &Path) -> Result<Self, ScienceWorldError> {
        remove_stale(parent);
        let failed =
            |source| ScienceWorldError::Write { path: parent.join(format!("{PREFIX}*")), source };
        let mut last = io::Error::other("other programs keep removing it");
        for _ in 0..MAX_ATTEMPTS {
            match Self::try_new(parent) {
                Ok(directory) => return Ok(directory),
                // Somebody took it for a dead program's before it was locked.
                Err(error) if error.kind() == io::ErrorKind::NotFound && parent.is_dir() => {
                    last = error;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(last))
    }

    fn try_new(parent: &Path) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let path = directory.path().join(LOCK_FILE);
        let lock = File::create_new(&path)?;
        lock.lock()?;
        // Whoever cleans up holds the lock while it removes.
        fs::metadata(&path)?;
        Ok(Self { directory, _lock: lock })
    }

    /// A worker's directory, with what the simulator reads and the token that makes the worker.
    pub(super) fn worker(&self, jar: &Jar) -> Result<TempDir, ScienceWorldError> {
        let failed = |path: PathBuf| move |source| ScienceWorldError::Write { path, source };
        let parent = self.directory.path();
        let directory = tempfile::Builder::new()
            .prefix("worker-")
            .tempdir_in(parent)
            .map_err(failed(parent.to_owned()))?;
        let types = directory.path().join(OBJECT_TYPES);
        fs::copy(&jar.object_types, &types).map_err(failed(types))?;
        let token = directory.path().join(TOKEN_FILE);
        fs::write(&token, "").map_err(failed(token))?;
        Ok(directory)
    }
}

/// Removes the directories that nobody keeps locked. What cannot be removed is another user's, or
/// will be tried again by the next pool.
fn remove_stale(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_directory || !name.to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        match File::open(path.join(LOCK_FILE)) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => {
                    tracing::debug!(path = %path.display(), "removing a dead program's directory");
                    let _ = fs::remove_dir_all(&path);
                }
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
            },
            // It died between making the directory and the lock: then it is empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let _ = fs::remove_dir(&path);
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &Path) -> Vec<String> {
        let entries = fs::read_dir(parent).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn only_directories_that_nobody_holds_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let held = PoolDirectory::new(parent.path()).unwrap();
        for (name, file) in [("dead", Some(LOCK_FILE)), ("empty", None), ("odd", Some("other"))] {
            let path = parent.path().join(format!("{PREFIX}{name}"));
            fs::create_dir(&path).unwrap();
            if let Some(file) = file {
                fs::write(path.join(file), "").unwrap();
            }
        }
        fs::create_dir(parent.path().join("somebody-elses")).unwrap();
        let second = PoolDirectory::new(parent.path()).unwrap();
        let mut expected = [&held, &second]
            .map(|pool| pool.directory.path().file_name().unwrap().to_str().unwrap().to_owned())
            .to_vec();
        // Not ours, or not recognised as ours: left alone.
        expected.extend([format!("{PREFIX}odd"), "somebody-elses".to_owned()]);
        expected.sort();
        let mut found = names(parent.path());
        found.sort();
        assert_eq!(found, expected);
        drop((held, second));
        assert_eq!(names(parent.path()).len(), 2);
    }
}
