//! The one place with `unsafe`: a read-only memory map of a weights file.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; the argument is at the call")]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use crate::WeightsError;

/// A file's bytes, mapped read-only.
#[derive(Debug)]
pub(crate) struct FileMap(memmap2::Mmap);

impl FileMap {
    pub(crate) fn open(path: &Path) -> Result<Self, WeightsError> {
        let fail = |source| WeightsError::Io { action: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(fail)?;
        // SAFETY: the map is private and read-only, and only ever seen as bytes, for which every
        // value is valid. A program that truncates the file while it is mapped would end this
        // process with SIGBUS; checkpoints are replaced by renaming, never rewritten in place, so
        // a mapped file keeps its length.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(fail)?;
        Ok(Self(map))
    }
}

impl Deref for FileMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
