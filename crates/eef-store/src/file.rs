//! Files that are either whole or not there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::StoreError;

/// Writes a file through a temporary one beside it: synced, then renamed.
pub(crate) fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".partial");
    let temporary = Path::new(&temporary);
    let file = File::create(temporary).map_err(StoreError::io("create", temporary))?;
    let mut writer = BufWriter::new(file);
    let result = write(&mut writer)?;
    let file = writer
        .into_inner()
        .map_err(|error| StoreError::io("write", temporary)(error.into_error()))?;
    file.sync_all().map_err(StoreError::io("sync", temporary))?;
    std::fs::rename(temporary, path).map_err(StoreError::io("rename", temporary))?;
    sync_folder_of(path)?;
    Ok(result)
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
