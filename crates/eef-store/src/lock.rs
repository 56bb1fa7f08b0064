//! One process per run directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// An exclusive lock on a run directory, held until it is dropped or the process ends, however it
/// ends: the operating system releases it.
///
/// ```
/// use eef_store::{RunLock, StoreError};
///
/// # let directory = tempfile::tempdir()?;
/// let lock = RunLock::acquire(directory.path())?;
/// let second = RunLock::acquire(directory.path());
/// assert!(matches!(second, Err(StoreError::Locked { pid: Some(pid), .. }) if pid == std::process::id()));
/// drop(lock);
/// RunLock::acquire(directory.path())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RunLock {
    /// Closing it releases the lock.
    _file: File,
    path: PathBuf,
}

/// The lock's file within a run directory. It stays when the lock is gone: removing it would let
/// two processes lock two files of one name.
const FILE_NAME: &str = "run.lock";

impl RunLock {
    /// Locks a directory that exists.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where another process, or another lock of this one, holds it.
    pub fn acquire(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        let directory = directory.as_ref();
        let path = directory.join(FILE_NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = read_pid(&mut file);
                return Err(StoreError::Locked { path: directory.to_path_buf(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
        }
        write_pid(&mut file).map_err(StoreError::io("write", &path))?;
        Ok(Self { _file: file, path })
    }

    /// The lock's file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    file.sync_data()
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
