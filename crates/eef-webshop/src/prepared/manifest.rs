//! What a prepared directory says of itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{parse, read};
use super::hashing::hash_of;
use crate::error::WebShopError;

/// The version of the directory's format.
pub const FORMAT_VERSION: u32 = 1;

pub(super) const MANIFEST: &str = "manifest.json";

/// Larger files are not hashed when a shop is opened.
const MAX_HASHED: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format_version: u32,
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) n_products: usize,
    pub(super) n_goals: BTreeMap<String, usize>,
    /// How it was made, beyond the seed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) settings: BTreeMap<String, String>,
    /// BLAKE3 of the files that the data was made from, by role.
    pub(super) inputs: BTreeMap<String, String>,
    /// BLAKE3 of the files beside this one.
    pub(super) files: BTreeMap<String, String>,
    /// Bytes of those files that are too large to be hashed whenever they are opened.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) lengths: BTreeMap<String, u64>,
}

impl Manifest {
    pub(super) fn read(directory: &Path) -> Result<Self, WebShopError> {
        let path = directory.join(MANIFEST);
        let text = read(&path).map_err(|error| match error {
            WebShopError::Read { source, .. }
                if source.kind() == ErrorKind::NotFound && directory.is_dir() =>
            {
                WebShopError::NotPrepared { directory: directory.to_owned() }
            }
            other => other,
        })?;
        let manifest: Self = parse(&path, &text, "the manifest of prepared data")?;
        if manifest.format_version != FORMAT_VERSION {
            let found = manifest.format_version;
            return Err(WebShopError::Version { path, found, expected: FORMAT_VERSION });
        }
        Ok(manifest)
    }

    /// Notes a file that was written.
    pub(super) fn add(&mut self, name: &str, hash: &str, n_bytes: u64) {
        self.files.insert(name.to_owned(), hash.to_owned());
        if n_bytes > MAX_HASHED {
            self.lengths.insert(name.to_owned(), n_bytes);
        }
    }

    /// Checks that a file is the one that was written.
    fn check(&self, path: &Path, name: &str, found: &str) -> Result<(), WebShopError> {
        let expected = self.files.get(name).cloned().unwrap_or_default();
        if found == expected {
            return Ok(());
        }
        Err(WebShopError::Changed {
            path: path.to_owned(),
            expected: format!("hash {expected}"),
            found: found.to_owned(),
        })
    }

    /// A file's text, checked.
    pub(super) fn text(
        &self,
        directory: &Path,
        name: &str,
    ) -> Result<(PathBuf, String), WebShopError> {
        let path = directory.join(name);
        let text = read(&path)?;
        self.check(&path, name, &blake3::hash(text.as_bytes()).to_string())?;
        Ok((path, text))
    }

    /// The path of a file that is mapped, checked where that takes no time: by its bytes where they
    /// are few, else by their number.
    pub(super) fn mapped(&self, directory: &Path, name: &str) -> Result<PathBuf, WebShopError> {
        let path = directory.join(name);
        let failed = |source| WebShopError::Read { path: path.clone(), source };
        let found = fs::metadata(&path).map_err(failed)?.len();
        match self.lengths.get(name) {
            Some(expected) if found == *expected => {}
            Some(expected) => {
                let (expected, found) = (format!("{expected} bytes"), found.to_string());
                return Err(WebShopError::Changed { path, expected, found });
            }
            None => {
                let found = hash_of(&path).map_err(failed)?;
                self.check(&path, name, &found)?;
            }
        }
        Ok(path)
    }

    /// Compares every byte of every file with what was written; tells of each when it is done.
    pub(super) fn check_all(
        &self,
        directory: &Path,
        done: &mut dyn FnMut(&str),
    ) -> Result<(), WebShopError> {
        for name in self.files.keys() {
            let path = directory.join(name);
            let found = hash_of(&path)
                .map_err(|source| WebShopError::Read { path: path.clone(), source })?;
            self.check(&path, name, &found)?;
            done(name);
        }
        Ok(())
    }
}
