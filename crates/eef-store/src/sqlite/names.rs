//! The files of a store and of its repair.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::StoreError;
use crate::file::{sync_folder_of, write_whole};

/// The write-ahead log that SQLite keeps beside a file.
pub(super) fn log_name(path: &Path) -> PathBuf {
    with_suffix(path, "-wal")
}

/// Where a repaired store is written.
pub(super) fn fresh_name(path: &Path) -> PathBuf {
    with_suffix(path, ".repairing")
}

/// Removes a store's file and what SQLite keeps beside it.
pub(super) fn remove_store(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let path = with_suffix(path, suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The damaged files that repairs of a store have kept, the last one that was written to last.
pub(super) fn damaged_copies(path: &Path) -> Vec<PathBuf> {
    let first = with_suffix(path, DAMAGED);
    let (Some(folder), Some(first)) = (path.parent(), first.file_name()) else {
        return Vec::new();
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let rest = name.to_str().zip(first.to_str());
            rest.and_then(|(name, first)| name.strip_prefix(first)).is_some_and(is_number)
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Gives a damaged file a second name, under which it stays when the first is another file's.
pub(super) fn second_name(path: &Path) -> Result<PathBuf, StoreError> {
    let mut name = with_suffix(path, DAMAGED);
    let mut number = 2;
    // A repair that was killed has given it one already.
    while name.exists() && !is_same_file(&name, path) {
        name = with_suffix(path, &format!("{DAMAGED}-{number}"));
        number += 1;
    }
    // Not every file system knows second names.
    if !name.exists() && std::fs::hard_link(path, &name).is_err() {
        copy_whole(path, &name)?;
    }
    sync_folder_of(path)?;
    Ok(name)
}

const DAMAGED: &str = ".damaged";

/// What follows `DAMAGED`: nothing, or a number.
fn is_number(rest: &str) -> bool {
    let digits = rest.strip_prefix('-');
    rest.is_empty() || digits.is_some_and(|digits| digits.parse::<u32>().is_ok())
}

fn copy_whole(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut file = File::open(from).map_err(StoreError::io("open", from))?;
    write_whole(to, |writer| {
        std::io::copy(&mut file, writer).map_err(StoreError::io("copy", from)).map(|_| ())
    })
}

#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino()));
    matches!((number(one), number(other)), (Ok(one), Ok(other)) if one == other)
}

/// Elsewhere the file may get a third name.
#[cfg(not(unix))]
fn is_same_file(_one: &Path, _other: &Path) -> bool {
    false
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_found_in_the_order_of_writing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sqlite");
        assert_eq!(damaged_copies(&path), Vec::<PathBuf>::new());
        std::fs::write(&path, "1").unwrap();
        let first = second_name(&path).unwrap();
        assert_eq!(first, folder.path().join("s.sqlite.damaged"));
        // The same file again needs no other name, another file does.
        #[cfg(unix)]
        assert_eq!(second_name(&path).unwrap(), first);
        let other = folder.path().join("other");
        copy_whole(&path, &other).unwrap();
        std::fs::rename(&other, &path).unwrap();
        let second = second_name(&path).unwrap();
        assert_eq!(second, folder.path().join("s.sqlite.damaged-2"));
        std::fs::write(folder.path().join("s.sqlite.damaged-wal"), "no store").unwrap();
        let newer = second.metadata().unwrap().modified().unwrap();
        let newer = newer + std::time::Duration::from_secs(9);
        File::options().write(true).open(&first).unwrap().set_modified(newer).unwrap();
        assert_eq!(damaged_copies(&path), [second, first]);
    }
}
