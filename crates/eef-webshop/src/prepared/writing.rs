//! Writing a prepared directory.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::hashing::{Hashing, hash_of};
use super::manifest::{MANIFEST, Manifest};
use crate::error::WebShopError;

/// What the name of a file ends with that is not written yet.
const PARTIAL: &str = ".partial";
/// Locked by who writes the directory.
const LOCK: &str = "prepare.lock";

/// A directory that is being written. Files are written beside their places and put there together
/// at the end, and only those that differ: until then the directory is as it was. While they are
/// put in place there is no manifest, so that an interruption is noticed when the directory is
/// opened.
pub(super) struct Writing<'a> {
    directory: &'a Path,
    /// The files that the manifest named when the writing began.
    old: Vec<String>,
    written: Vec<(Begun, String)>,
    /// Whether the directory was made for this.
    is_new: bool,
    is_done: bool,
    _lock: File,
}

impl<'a> Writing<'a> {
    /// Begins to write the files with these names. A directory that holds others and no manifest
    /// was not made by us, and is refused; so is one that another process is writing.
    pub(super) fn new(directory: &'a Path, names: &[&str]) -> Result<Self, WebShopError> {
        if directory.exists() && !directory.is_dir() {
            let source = io::Error::new(io::ErrorKind::NotADirectory, "it is a file, not a folder");
            return Err(failed(directory, source));
        }
        let is_new = !directory.exists();
        fs::create_dir_all(directory).map_err(|source| failed(directory, source))?;
        let old = match Manifest::read(directory) {
            Ok(manifest) => manifest.files.into_keys().collect(),
            Err(WebShopError::NotPrepared { .. }) => {
                refuse_foreign(directory, names)?;
                Vec::new()
            }
            // Of another version, or cut off: ours, and written anew.
            Err(_) => Vec::new(),
        };
        let lock = lock(directory)?;
        Ok(Self { directory, old, written: Vec::new(), is_new, is_done: false, _lock: lock })
    }

    /// Writes a file as a whole.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), WebShopError> {
        let mut file = self.begin(name)?;
        file.write_all(bytes).map_err(|source| failed(&file.temporary, source))?;
        self.end(file).map(|_| ())
    }

    /// Begins a file that is written bit by bit.
    pub(super) fn begin(&self, name: &str) -> Result<Begun, WebShopError> {
        let path = self.directory.join(name);
        let mut temporary = path.clone().into_os_string();
        temporary.push(PARTIAL);
        let temporary = PathBuf::from(temporary);
        let file = File::create(&temporary).map_err(|source| failed(&temporary, source))?;
        let out = BufWriter::with_capacity(1 << 20, Hashing::new(file));
        Ok(Begun { name: name.to_owned(), path, temporary, out })
    }

    /// Ends a file; gives where its bytes lie until it is put in its place.
    pub(super) fn end(&mut self, mut begun: Begun) -> Result<PathBuf, WebShopError> {
        begun.out.flush().map_err(|source| failed(&begun.temporary, source))?;
        let hash = begun.out.get_ref().hash();
        let temporary = begun.temporary.clone();
        self.written.push((begun, hash));
        Ok(temporary)
    }

    /// Puts the files in their places, the manifest last; tells whether anything changed.
    pub(super) fn finish(mut self, mut manifest: Manifest) -> Result<bool, WebShopError> {
        for (begun, hash) in &self.written {
            manifest.add(&begun.name, hash, begun.out.get_ref().n_bytes());
        }
        let path = self.directory.join(MANIFEST);
        let mut bytes = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| failed(&path, io::Error::other(error)))?;
        bytes.push(b'\n');
        self.file(MANIFEST, &bytes)?;
        let mut changed = Vec::new();
        for (begun, hash) in &self.written {
            let is_changed = begun
                .differs(hash)
                .and_then(|differs| {
                    if differs {
                        begun.out.get_ref().inner.sync_all()?;
                    }
                    Ok(differs)
                })
                .map_err(|source| failed(&begun.path, source))?;
            if is_changed {
                changed.push(begun);
            }
        }
        if changed.iter().any(|begun| begun.name != MANIFEST) {
            if path.exists() {
                fs::remove_file(&path).map_err(|source| failed(&path, source))?;
            }
            // It comes last, and comes back even where it says the same.
            changed.retain(|begun| begun.name != MANIFEST);
            changed.extend(self.written.last().map(|(manifest, _)| manifest));
        }
        for begun in &changed {
            fs::rename(&begun.temporary, &begun.path)
                .map_err(|source| failed(&begun.path, source))?;
        }
        // What the directory had in another form is not of this one.
        for name in self.old.iter().filter(|name| !manifest.files.contains_key(*name)) {
            let path = self.directory.join(name);
            if path.exists() {
                fs::remove_file(&path).map_err(|source| failed(&path, source))?;
            }
        }
        let is_changed = !changed.is_empty();
        self.is_done = true;
        Ok(is_changed)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.written.clear();
        // Nothing is lost where it stays.
        let _ = fs::remove_file(self.directory.join(LOCK));
        if self.is_new && !self.is_done {
            // Only where it is empty; the failure itself is what is reported.
            let _ = fs::remove_dir(self.directory);
        }
    }
}

/// A file that is being written beside its place. What is not ended is removed.
pub(super) struct Begun {
    name: String,
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<Hashing<File>>,
}

impl Begun {
    /// Whether its place has other bytes, or none.
    fn differs(&self, hash: &str) -> io::Result<bool> {
        let n_bytes = self.out.get_ref().n_bytes();
        match fs::metadata(&self.path) {
            Ok(old) if old.len() == n_bytes => Ok(hash_of(&self.path)? != hash),
            _ => Ok(true),
        }
    }

    /// A failure to write this file.
    pub(super) fn failed(&self) -> impl Fn(io::Error) -> WebShopError + 'static {
        let path = self.path.clone();
        move |source| failed(&path, source)
    }
}

impl Write for Begun {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Gone already where the file was put in its place; what is left of a failed writing helps
        // nobody, and the failure itself is what is reported.
        let _ = fs::remove_file(&self.temporary);
    }
}

pub(super) fn failed(path: &Path, source: io::Error) -> WebShopError {
    WebShopError::Write { path: path.to_owned(), source }
}

/// Refuses a directory that holds what no preparation leaves.
fn refuse_foreign(directory: &Path, names: &[&str]) -> Result<(), WebShopError> {
    let is_ours = |name: &str| {
        let name = name.strip_suffix(PARTIAL).unwrap_or(name);
        names.contains(&name) || name == MANIFEST || name == LOCK
    };
    for entry in fs::read_dir(directory).map_err(|source| failed(directory, source))? {
        let name = entry.map_err(|source| failed(directory, source))?.file_name();
        let name = name.to_string_lossy();
        if !is_ours(&name) {
            let source = io::Error::other(format!(
                "it holds `{name}` and no manifest of prepared data: choose a folder that is empty \
                 or does not exist"
            ));
            return Err(failed(directory, source));
        }
    }
    Ok(())
}

/// Two that write the same files would mix them. The operating system lets go of the lock when its
/// process ends, however it ends.
fn lock(directory: &Path) -> Result<File, WebShopError> {
    let path = directory.join(LOCK);
    let file = File::create(&path).map_err(|source| failed(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(WebShopError::Busy { directory: directory.to_owned() })
        }
        Err(TryLockError::Error(source)) => Err(failed(&path, source)),
    }
}
