//! A project outside the workspace that depends on single crates by path.
//!
//! Inside the workspace every crate is built with what the others ask for: a feature that a crate
//! uses and forgets to ask for shows only where it is used alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::process;

/// The crates that it depends on.
const CRATES: [&str; 4] = ["eef-core", "eef-select", "eef-store", "eef-webshop"];

/// Its program.
const MAIN: &str = include_str!("../outside-project/main.rs");

/// Builds and runs such a project with a target folder of its own, without the network, and checks
/// that it compiled no Burn.
pub fn check_outside_project() -> anyhow::Result<()> {
    let project = Project::create()?;
    let listed =
        process::output(&mut project.cargo(&["tree", "--offline", "--prefix", "none"])?)?;
    ensure!(
        !listed.lines().any(|line| line.starts_with("burn")),
        "{} should not reach Burn, but a project that uses them does",
        CRATES.join(", ")
    );
    let printed = process::output(&mut project.cargo(&["run", "--offline", "--quiet"])?)?;
    ensure!(printed.contains("4 actions, simulated from [2]"), "the project printed {printed:?}");
    Ok(())
}

/// A folder that is removed when it is no longer needed.
struct Project {
    folder: PathBuf,
}

impl Project {
    fn create() -> anyhow::Result<Self> {
        let root = process::workspace_root()?;
        let folder = std::env::temp_dir().join(format!("eef-outside-{}", std::process::id()));
        ensure!(!folder.starts_with(&root), "{} lies in the workspace", folder.display());
        let project = Self { folder };
        let source = project.folder.join("src");
        fs::create_dir_all(&source).with_context(|| format!("cannot make {}", source.display()))?;
        write(&source.join("main.rs"), MAIN)?;
        write(&project.folder.join("Cargo.toml"), &manifest(&root))?;
        // With the versions that the workspace has, so that there is nothing to download.
        let (from, to) = (root.join("Cargo.lock"), project.folder.join("Cargo.lock"));
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(project)
    }

    fn cargo(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = process::cargo(arguments)?;
        command.current_dir(&self.folder).env("CARGO_TARGET_DIR", self.folder.join("target"));
        Ok(command)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // What is left behind lies in the folder for temporary files: no reason to fail.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn manifest(root: &Path) -> String {
    let dependencies = CRATES.map(|name| {
        let path = root.join("crates").join(name);
        // TOML's literal strings keep the backslashes of Windows.
        format!("{name} = {{ path = '{}' }}\n", path.display())
    });
    format!(
        "[package]\nname = \"outside\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{}",
        dependencies.concat()
    )
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_names_each_crate_and_is_no_member() {
        let manifest = manifest(Path::new("/workspace"));
        for name in CRATES {
            assert!(
                manifest.contains(&format!("{name} = {{ path = '/workspace/crates/{name}' }}"))
            );
        }
        assert!(manifest.contains("\n[workspace]\n"));
    }
}
