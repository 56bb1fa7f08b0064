//! Files that are either whole or not there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Writes a file so that it has its old content or the new one, whatever happens: through a
/// temporary one beside it that is synced, renamed, and removed where the writing fails.
///
/// What is no regular file (a terminal, a FIFO, a device) is written to as it stands, never
/// replaced, and a symbolic link is followed: the file that it names is written and the link stays.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("report.txt");
/// eef_store::write_whole(&path, |file| {
///     file.write_all(b"solved").map_err(|source| eef_store::StoreError::Io {
///         doing: "write",
///         path: path.clone(),
///         source,
///     })
/// })?;
/// assert_eq!(std::fs::read(&path)?, b"solved");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`StoreError::Io`] where the operating system refuses, and what `write` fails with.
pub fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let Some(target) = replaceable(path) else {
        let file = File::create(path).map_err(StoreError::io("open", path))?;
        // What is no file cannot be synced either.
        return fill(file, path, write).map(|(result, _)| result);
    };
    let mut temporary = target.as_os_str().to_owned();
    temporary.push(format!(".{}.partial", std::process::id()));
    let temporary = Path::new(&temporary);
    let file = File::create(temporary).map_err(StoreError::io("create", temporary))?;
    let written = fill(file, path, write).and_then(|(result, file)| {
        file.sync_all().map_err(StoreError::io("sync", temporary))?;
        std::fs::rename(temporary, &target).map_err(StoreError::io("write", &target))?;
        Ok(result)
    });
    if written.is_err() {
        // Best effort: the error that matters is the first one.
        let _ = std::fs::remove_file(temporary);
    }
    let result = written?;
    sync_folder_of(&target)?;
    Ok(result)
}

/// Writes through a buffer and gives the file back with nothing left in the buffer.
fn fill<T>(
    file: File,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, StoreError>,
) -> Result<(T, File), StoreError> {
    let mut writer = BufWriter::new(file);
    let result = write(&mut writer)?;
    let file =
        writer.into_inner().map_err(|error| StoreError::io("write", path)(error.into_error()))?;
    Ok((result, file))
}

/// The place where a new file may take the old one's: the end of a chain of links, if a regular
/// file or nothing is there.
fn replaceable(path: &Path) -> Option<PathBuf> {
    let found = std::fs::metadata(path).ok();
    if found.as_ref().is_some_and(|found| !found.is_file()) {
        return None;
    }
    let mut target = path.to_path_buf();
    // As many links as Linux follows; a longer chain is a circle, which opening will refuse.
    for _ in 0..40 {
        let Ok(next) = std::fs::read_link(&target) else {
            // A link such as /dev/fd/3 may name a file that no path leads to any more.
            let is_there = found.is_none() || target.exists();
            return is_there.then_some(target);
        };
        // A relative link counts from the folder that it lies in; an absolute one replaces all.
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    None
}

/// Makes a rename durable.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Other systems than Unix cannot open folders, and order renames themselves.
    if cfg!(unix) {
        let handle = File::open(folder).map_err(StoreError::io("open", folder))?;
        handle.sync_all().map_err(StoreError::io("sync", folder))?;
    }
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::process::Command;

    use super::*;

    fn put(path: &Path, text: &str) -> Result<(), StoreError> {
        write_whole(path, |file| {
            file.write_all(text.as_bytes()).map_err(StoreError::io("write", path))
        })
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        put(&path, "old").unwrap();
        let failed = write_whole(&path, |file| {
            file.write_all(b"half of the n").unwrap();
            Err::<(), _>(StoreError::damaged("row 3", "missing"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["out"]);
        // A folder stands in the way of a rename.
        assert!(put(folder.path(), "x").is_err());
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn a_link_stays_and_what_it_names_is_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let real = folder.path().join("data/real");
        let link = folder.path().join("link");
        let second = folder.path().join("data/second");
        symlink("data/second", &link).unwrap();
        symlink("real", &second).unwrap();
        // First what the link names is not there yet, then it is.
        for text in ["new", "newer"] {
            put(&link, text).unwrap();
            assert_eq!(std::fs::read_to_string(&real).unwrap(), text);
            assert!(link.is_symlink() && second.is_symlink() && !real.is_symlink());
        }
        assert_eq!(names(&folder.path().join("data")), ["real", "second"]);
        let circle = folder.path().join("circle");
        symlink("circle", &circle).unwrap();
        assert!(put(&circle, "x").is_err());
        assert!(circle.is_symlink());
    }

    #[test]
    fn a_fifo_is_written_to_and_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let link = folder.path().join("link");
        symlink("fifo", &link).unwrap();
        // Open for both, so that neither opening nor writing waits for another process.
        let mut reader = File::options().read(true).write(true).open(&fifo).unwrap();
        for path in [&fifo, &link] {
            put(path, "through the pipe").unwrap();
            assert!(std::fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
            let mut text = [0; 16];
            reader.read_exact(&mut text).unwrap();
            assert_eq!(&text, b"through the pipe");
        }
        assert_eq!(names(folder.path()), ["fifo", "link"]);
    }

    #[test]
    fn a_device_is_written_to_and_its_error_is_told() {
        // A node of our own: a mistake must not cost the machine's.
        let folder = tempfile::tempdir().unwrap();
        let full = folder.path().join("full");
        let made = Command::new("mknod").arg(&full).args(["c", "1", "7"]).output();
        if File::create(&full).is_err() || made.is_ok_and(|made| !made.status.success()) {
            println!("skipped: only root can make a device here");
            return;
        }
        let error = put(&full, "text").unwrap_err().to_string();
        assert!(error.starts_with("cannot write "), "{error}");
        assert!(std::fs::metadata(&full).unwrap().file_type().is_char_device());
        assert_eq!(names(folder.path()), ["full"]);
    }
}
