use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use crate::WeightsError;

/// Writes a file under a temporary name beside it, flushes it to the disk, and renames it, so that
/// `path` holds the old bytes or the new ones, never a part.
///
/// What is no regular file (a FIFO, a device) is written to as it stands, never replaced. A symbolic
/// link to a file is replaced: in a download cache it points to content that others share.
///
/// # Errors
///
/// Where the operating system refuses, for example on a full disk; `path` is then as it was.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), WeightsError> {
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let streamed = (|| {
            let mut buffered = BufWriter::with_capacity(1 << 20, File::create(path)?);
            write(&mut buffered)?;
            buffered.flush()
        })();
        return streamed.map_err(|source| WeightsError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        });
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let written = (|| {
        let mut buffered = BufWriter::with_capacity(1 << 20, File::create(&partial)?);
        write(&mut buffered)?;
        let file = buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        // The rename itself must reach the disk: the directory is flushed too.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(|source| {
        // Best effort: the error that matters is the first one.
        let _ = std::fs::remove_file(&partial);
        WeightsError::Io { action: "write", path: path.to_owned(), source }
    })
}

/// A BLAKE3 hash, in hexadecimal, of the names and bytes of a directory's files.
///
/// Files are taken in the order of their names; subdirectories, and temporary files of
/// [`write_atomically`], do not count.
///
/// # Errors
///
/// Where a file cannot be read.
pub fn directory_hash(directory: &Path) -> Result<String, WeightsError> {
    let fail =
        |path: &Path, source| WeightsError::Io { action: "read", path: path.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|error| fail(directory, error))? {
        let path = entry.map_err(|error| fail(directory, error))?.path();
        if path.is_file() && path.extension().is_none_or(|end| end != "partial") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    for path in paths {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let mut file = File::open(&path).map_err(|error| fail(&path, error))?;
        let mut content = blake3::Hasher::new();
        loop {
            let n = file.read(&mut buffer).map_err(|error| fail(&path, error))?;
            if n == 0 {
                break;
            }
            content.update(&buffer[..n]);
        }
        // Each name is preceded by its length and each content is a fixed-size hash, so that no
        // two different directories feed the same bytes.
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update(content.finalize().as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weights");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        assert!(failed.unwrap_err().to_string().starts_with("cannot write"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_fifo_is_written_to_and_a_link_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        // Open for both, so that neither opening nor writing waits for another process.
        let mut reader = File::options().read(true).write(true).open(&fifo).unwrap();
        write_atomically(&fifo, |file| file.write_all(b"weights")).unwrap();
        assert!(!std::fs::symlink_metadata(&fifo).unwrap().is_file());
        let mut text = [0; 7];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"weights");

        let (shared, link) = (directory.path().join("shared"), directory.path().join("link"));
        std::fs::write(&shared, "shared").unwrap();
        std::os::unix::fs::symlink(&shared, &link).unwrap();
        write_atomically(&link, |file| file.write_all(b"ours")).unwrap();
        assert_eq!(std::fs::read(&shared).unwrap(), b"shared");
        assert_eq!(std::fs::read(&link).unwrap(), b"ours");
    }

    #[test]
    fn the_hash_sees_names_and_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let hash = || directory_hash(directory.path()).unwrap();
        std::fs::write(directory.path().join("a"), "bc").unwrap();
        let first = hash();
        assert_eq!(first, hash());
        std::fs::write(directory.path().join("a"), "bd").unwrap();
        let changed = hash();
        assert_ne!(first, changed);
        std::fs::rename(directory.path().join("a"), directory.path().join("b")).unwrap();
        assert_ne!(changed, hash());
    }
}
