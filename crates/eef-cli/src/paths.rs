//! Where files are: fixtures, and paths that a configuration names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::bail;

/// The fixtures of the checkout that this binary was built in.
const BUILT_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");

/// Names the folder of the fixtures, in place of those that are found.
const VARIABLE: &str = "EEF_FIXTURES";

/// The file that tells fixtures from any other folder of that name.
const MARK: &str = "webshop/manifest.json";

/// Where data that lies in the fixtures comes from: what `plan.data_source` says by default.
pub const MAKES_FIXTURES: &str = "cargo xtask fixtures";

/// Resolves a path of a configuration: `fixtures/…` is looked up in the fixtures, anything else is
/// relative to the current directory.
///
/// # Errors
/// `EEF_FIXTURES` is needed and names a folder that holds no fixtures.
pub fn find(path: &str) -> anyhow::Result<PathBuf> {
    Places::of_process().find(path)
}

/// As [`find`], where nothing can be said about a folder that is not one: the path is then one at
/// which nothing is.
pub fn resolve(path: &str) -> PathBuf {
    Places::of_process().resolve(path)
}

/// Fails where a path does not exist, saying how to get what should be there.
pub fn require(path: &str, what: &str, how: &str) -> anyhow::Result<PathBuf> {
    Places::of_process().require(path, what, how)
}

/// How to get what lies at a path, where the configuration says no more than the default does:
/// the program that makes the fixtures makes nothing else.
pub fn source(path: &str, how: &str) -> String {
    let path = Path::new(path);
    if how != MAKES_FIXTURES || path.starts_with("fixtures") {
        return how.to_owned();
    }
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        return "eef-cli collect or eef-cli import writes such a file".to_owned();
    }
    format!("cargo xtask prepare-data webshop --out {} (see its --help)", path.display())
}

/// Where fixtures may be.
struct Places {
    /// What `EEF_FIXTURES` says.
    given: Option<OsString>,
    /// Looked through in this order where it says nothing.
    usual: Vec<PathBuf>,
}

impl Places {
    /// The current directory's fixtures, or those of the checkout that built this binary.
    fn of_process() -> Self {
        let given = std::env::var_os(VARIABLE).filter(|given| !given.is_empty());
        Self { given, usual: ["fixtures", BUILT_IN].map(PathBuf::from).to_vec() }
    }

    /// The fixtures, if there are any.
    fn fixtures(&self) -> anyhow::Result<Option<PathBuf>> {
        let are_fixtures = |place: &Path| place.join(MARK).is_file();
        let Some(given) = &self.given else {
            return Ok(self.usual.iter().find(|place| are_fixtures(place)).cloned());
        };
        let place = PathBuf::from(given);
        if !are_fixtures(&place) {
            bail!(
                "{VARIABLE} is {}, which holds no {MARK}: set it to the fixtures folder of a \
                 checkout of this repository, or unset it",
                place.display()
            );
        }
        Ok(Some(place))
    }

    fn find(&self, path: &str) -> anyhow::Result<PathBuf> {
        let plain = PathBuf::from(path);
        let Ok(inside) = plain.strip_prefix("fixtures") else { return Ok(plain) };
        let found = self.fixtures()?.map(|folder| folder.join(inside));
        Ok(match found {
            // A folder of one's own may have that name too.
            Some(found) if found.exists() || !plain.exists() => found,
            _ => plain,
        })
    }

    fn resolve(&self, path: &str) -> PathBuf {
        // Where the variable is wrong, using other fixtures in its place would hide that.
        self.find(path).unwrap_or_else(|_| {
            let folder = PathBuf::from(self.given.clone().unwrap_or_default());
            Path::new(path)
                .strip_prefix("fixtures")
                .map_or_else(|_| PathBuf::from(path), |inside| folder.join(inside))
        })
    }

    fn require(&self, path: &str, what: &str, how: &str) -> anyhow::Result<PathBuf> {
        let found = self.find(path)?;
        if found.exists() {
            return Ok(found);
        }
        if Path::new(path).starts_with("fixtures") && self.fixtures()?.is_none() {
            bail!(
                "{what} {path} is not here: run inside a checkout of this repository, or set \
                 {VARIABLE} to its fixtures folder"
            );
        }
        bail!("{what} {} does not exist; to get it: {}", found.display(), source(path, how))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with fixtures in `real` and, in `fixtures`, something else of that name.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("real/webshop")).unwrap();
        std::fs::write(folder.path().join("real").join(MARK), "{}").unwrap();
        std::fs::create_dir_all(folder.path().join("fixtures/webshop")).unwrap();
        folder
    }

    fn places(folder: &Path, given: Option<&str>, usual: &[&str]) -> Places {
        Places {
            given: given.map(|given| folder.join(given).into_os_string()),
            usual: usual.iter().map(|place| folder.join(place)).collect(),
        }
    }

    #[test]
    fn a_folder_that_is_only_called_fixtures_hides_nothing() {
        let folder = folder();
        let places = places(folder.path(), None, &["fixtures", "real"]);
        let found = places.find("fixtures/webshop").unwrap();
        assert_eq!(found, folder.path().join("real/webshop"));
        assert_eq!(places.resolve("fixtures/webshop"), found);
        // What is not made yet belongs there too.
        let base = places.find("fixtures/base").unwrap();
        assert_eq!(base, folder.path().join("real/base"));
    }

    #[test]
    fn a_variable_that_names_no_fixtures_is_an_error_and_not_passed_over() {
        let folder = folder();
        let places = places(folder.path(), Some("fixtures"), &["real"]);
        for error in [
            places.find("fixtures/webshop").unwrap_err(),
            places.require("fixtures/webshop", "the data", "x").unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(error.starts_with("EEF_FIXTURES is "), "{error}");
            assert!(error.contains("holds no webshop/manifest.json"), "{error}");
        }
        assert_eq!(places.resolve("fixtures/base"), folder.path().join("fixtures/base"));
        // Other paths do not need it.
        assert_eq!(places.find("data/mine").unwrap(), PathBuf::from("data/mine"));
    }

    #[test]
    fn a_variable_that_names_fixtures_comes_first() {
        let folder = folder();
        let places = places(folder.path(), Some("real"), &["fixtures"]);
        let found = places.require("fixtures/webshop", "the data", "x").unwrap();
        assert_eq!(found, folder.path().join("real/webshop"));
    }

    #[test]
    fn what_is_missing_comes_with_how_to_get_it() {
        let folder = folder();
        let error = |places: &Places, path: &str, what: &str, how: &str| {
            places.require(path, what, how).unwrap_err().to_string()
        };
        let found = places(folder.path(), None, &["real"]);
        assert_eq!(
            error(&found, "data/none", "the data", "a download"),
            "the data data/none does not exist; to get it: a download"
        );
        assert_eq!(
            error(&found, "data/none", "the data", MAKES_FIXTURES),
            "the data data/none does not exist; to get it: cargo xtask prepare-data webshop --out \
             data/none (see its --help)"
        );
        assert_eq!(
            error(&found, "data/none.jsonl", "the expert file", MAKES_FIXTURES),
            "the expert file data/none.jsonl does not exist; to get it: eef-cli collect or eef-cli \
             import writes such a file"
        );
        let base = folder.path().join("real/base").display().to_string();
        assert_eq!(
            error(&found, "fixtures/base", "the base model", MAKES_FIXTURES),
            format!("the base model {base} does not exist; to get it: cargo xtask fixtures")
        );
        assert_eq!(
            error(&places(folder.path(), None, &[]), "fixtures/base", "the base model", "x"),
            "the base model fixtures/base is not here: run inside a checkout of this repository, \
             or set EEF_FIXTURES to its fixtures folder"
        );
    }
}
