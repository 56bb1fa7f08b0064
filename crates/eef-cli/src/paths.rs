//! Where files are: fixtures, and paths that a configuration names.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// The fixtures of the checkout that this binary was built in.
const BUILT_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");

/// Resolves a path of a configuration: `fixtures/…` is looked up in the fixtures, anything else is
/// relative to the current directory.
pub fn resolve(path: &str) -> PathBuf {
    let plain = PathBuf::from(path);
    match plain.strip_prefix("fixtures") {
        Ok(inside) if !plain.exists() => {
            fixtures().map_or_else(|| plain.clone(), |folder| folder.join(inside))
        }
        _ => plain,
    }
}

/// Fails where a path does not exist, saying how to get what should be there.
pub fn require(path: &str, what: &str, how: &str) -> anyhow::Result<PathBuf> {
    let found = resolve(path);
    if found.exists() {
        return Ok(found);
    }
    if Path::new(path).starts_with("fixtures") && fixtures().is_none() {
        bail!(
            "{what} {path} is not here: run inside a checkout of the repository, or set \
             EEF_FIXTURES to its fixtures folder (git clone {})",
            env!("CARGO_PKG_REPOSITORY")
        );
    }
    bail!("{what} {} does not exist; to get it: {how}", found.display())
}

/// `EEF_FIXTURES`, or the current directory's, or those of the checkout that built this binary.
fn fixtures() -> Option<PathBuf> {
    let given = std::env::var_os("EEF_FIXTURES").map(PathBuf::from);
    let places = given.into_iter().chain([PathBuf::from("fixtures"), PathBuf::from(BUILT_IN)]);
    places.into_iter().find(|place| place.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_how_to_get_it() {
        let error = require("data/none", "the data directory", "cargo xtask prepare-data webshop");
        assert_eq!(
            error.unwrap_err().to_string(),
            "the data directory data/none does not exist; to get it: cargo xtask prepare-data webshop"
        );
        assert_eq!(resolve("data/none"), PathBuf::from("data/none"));
    }
}
