//! What several workers use at once, loaded once.

use std::fmt::{Debug, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What was last loaded from a directory. Clones share it.
///
/// A directory is known by its path and by the names, lengths and modification times of its files:
/// a model that took another's place is loaded again.
pub(crate) struct LastLoaded<T> {
    held: Arc<Mutex<Option<(Stamp, T)>>>,
}

#[derive(PartialEq, Eq)]
struct Stamp {
    directory: PathBuf,
    files: Vec<(PathBuf, u64, SystemTime)>,
}

impl<T: Clone> LastLoaded<T> {
    /// A handle to what the directory holds: that of the call before, or a new one from `load`.
    /// Who comes while another thread loads waits for it, so that nothing is loaded twice.
    pub(crate) fn get<E>(
        &self,
        directory: &Path,
        load: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut held = self.lock();
        // Taken before loading: files that change meanwhile do not pass for those that were read.
        // Where a directory cannot be listed, loading tells why.
        let stamp = stamp(directory).ok();
        if let (Some(stamp), Some((known, value))) = (&stamp, &*held)
            && stamp == known
        {
            return Ok(value.clone());
        }
        // First, so that two models are never held at once for this.
        *held = None;
        let value = load()?;
        *held = stamp.map(|stamp| (stamp, value.clone()));
        Ok(value)
    }

    /// Lets go of it; its memory is free once nobody else holds a handle.
    pub(crate) fn release(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Stamp, T)>> {
        // A thread that panicked while loading left `None`.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(directory: &Path) -> std::io::Result<Stamp> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // Follows links, as loading does.
        let metadata = fs::metadata(&path)?;
        files.push((path, metadata.len(), metadata.modified()?));
    }
    files.sort();
    Ok(Stamp { directory: directory.to_owned(), files })
}

// By hand: a derived one would ask the same of `T`.
impl<T> Default for LastLoaded<T> {
    fn default() -> Self {
        Self { held: Arc::default() }
    }
}

impl<T> Clone for LastLoaded<T> {
    fn clone(&self) -> Self {
        Self { held: Arc::clone(&self.held) }
    }
}

impl<T> Debug for LastLoaded<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        // Not what is held, which may be weights by the million.
        f.debug_struct("LastLoaded").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Loads a directory's number; says whether it had to.
    fn get(loaded: &LastLoaded<String>, directory: &Path) -> (String, bool) {
        let mut read = false;
        let text = loaded.get(directory, || {
            read = true;
            Ok::<_, Infallible>(fs::read_to_string(directory.join("weights")).unwrap())
        });
        (text.unwrap(), read)
    }

    #[test]
    fn a_directory_is_loaded_once_until_it_changes_or_is_released() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        for directory in [&one, &two] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("weights"), "1").unwrap();
        }
        let loaded = LastLoaded::default();
        assert_eq!(get(&loaded, &one), ("1".to_owned(), true));
        assert_eq!(get(&loaded.clone(), &one), ("1".to_owned(), false));
        assert_eq!(get(&loaded, &two), ("1".to_owned(), true));
        fs::write(two.join("weights"), "22").unwrap();
        assert_eq!(get(&loaded, &two), ("22".to_owned(), true));
        // The same length, another time.
        let weights = fs::File::options().write(true).open(two.join("weights")).unwrap();
        weights.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(get(&loaded, &two), ("22".to_owned(), true));
        assert_eq!(get(&loaded, &two), ("22".to_owned(), false));
        loaded.release();
        assert_eq!(get(&loaded, &two), ("22".to_owned(), true));
    }

    #[test]
    fn a_failed_load_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let loaded = LastLoaded::<u8>::default();
        assert_eq!(loaded.get(root.path(), || Ok::<_, &str>(1)), Ok(1));
        let nowhere = root.path().join("nowhere");
        assert_eq!(loaded.get(&nowhere, || Err("no such model")), Err("no such model"));
        assert_eq!(loaded.get(root.path(), || Ok::<_, &str>(2)), Ok(2));
    }

    #[test]
    fn threads_share_one_load() {
        let root = tempfile::tempdir().unwrap();
        let loaded = LastLoaded::<Arc<u8>>::default();
        let n_loads = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let load = || {
                        n_loads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        Ok::<_, Infallible>(Arc::new(7))
                    };
                    assert_eq!(*loaded.get(root.path(), load).unwrap(), 7);
                });
            }
        });
        assert_eq!(n_loads.into_inner(), 1);
    }
}
