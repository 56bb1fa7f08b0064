//! The simulator's files.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::ScienceWorldError;

/// The SHA-256 of `scienceworld.jar` 1.2.3, the version that recordings and cassettes are of.
pub const JAR_SHA256: &str = "f4e1fdce0cdabe1bab7128a7e78ea820210d9db3c28d7272bcbbc3f3a1c5f0d7";

/// The table of object types, which the simulator reads from its current directory.
pub(crate) const OBJECT_TYPES: &str = "object_type_ids.tsv";
const OBJECT_TYPES_SHA256: &str =
    "c8ad78fd41f79d9edd9669565990a58ec58f916f599de6c06765c2275a983e32";

/// The simulator's jar, checked, with the table of object types that belongs to it.
///
/// Invariant: when it was opened both files were those of ScienceWorld 1.2.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jar {
    path: PathBuf,
    pub(crate) object_types: PathBuf,
}

impl Jar {
    /// Opens `scienceworld.jar`; `object_type_ids.tsv` must lie beside it.
    ///
    /// # Errors
    /// [`ScienceWorldError::Read`] where one of the files is missing,
    /// [`ScienceWorldError::WrongFile`] where one is of another version.
    pub fn open(path: &Path) -> Result<Self, ScienceWorldError> {
        let read = |source| ScienceWorldError::Read { path: path.to_owned(), source };
        // Workers have directories of their own, so the path must not hang on ours.
        let absolute = fs::canonicalize(path).map_err(read)?;
        check(&absolute, "scienceworld.jar", JAR_SHA256)?;
        let object_types = absolute.with_file_name(OBJECT_TYPES);
        check(&object_types, OBJECT_TYPES, OBJECT_TYPES_SHA256)?;
        Ok(Self { path: absolute, object_types })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn check(path: &Path, name: &'static str, expected: &'static str) -> Result<(), ScienceWorldError> {
    let read = |source| ScienceWorldError::Read { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(read)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n_read = file.read(&mut buffer).map_err(read)?;
        if n_read == 0 {
            break;
        }
        hasher.update(&buffer[..n_read]);
    }
    let found = format!("{:x}", hasher.finalize());
    if found == expected {
        return Ok(());
    }
    Err(ScienceWorldError::WrongFile { path: path.to_owned(), name, expected, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_is_refused_with_the_way_to_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scienceworld.jar");
        let missing = Jar::open(&path).unwrap_err();
        assert!(matches!(missing, ScienceWorldError::Read { .. }), "{missing}");
        fs::write(&path, "PK").unwrap();
        let wrong = Jar::open(&path).unwrap_err().to_string();
        assert!(wrong.contains("scienceworld==1.2.3") && wrong.contains(JAR_SHA256), "{wrong}");
        assert_eq!(wrong.lines().count(), 1);
    }
}
