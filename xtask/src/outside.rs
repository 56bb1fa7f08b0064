//! A project outside the workspace that depends on single crates by path.
//!
//! Inside the workspace every crate is built with what the others ask for: a feature that a crate
//! uses and forgets to ask for shows only where it is used alone. So the project has a program
//! that uses a few crates, and for each crate without Burn a package that depends on it alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::process;

/// The crates that its program uses.
const CRATES: [&str; 4] = ["eef-core", "eef-select", "eef-store", "eef-webshop"];

/// The crates that are compiled alone, each with its default features and once more with each of
/// its other features. Those with Burn would compile it anew each time: `features` checks them together.
const ALONE: [(&str, Option<&str>); 12] = [
    ("eef-core", None),
    ("eef-core", Some("testing")),
    ("eef-select", None),
    ("eef-webshop", None),
    ("eef-scienceworld", None),
    ("eef-chat", None),
    ("eef-weights", None),
    ("eef-store", None),
    ("eef-rollout", None),
    ("eef", None),
    ("eef", Some("testing")),
    ("eef-report", None),
];

/// Its program.
const MAIN: &str = include_str!("../outside-project/main.rs");

/// Builds and runs such a project with a target folder of its own, without the network, and checks
/// that it compiled no Burn.
pub fn check_outside_project() -> anyhow::Result<()> {
    let project = Project::create()?;
    let tree = ["tree", "--workspace", "--offline", "--prefix", "none"];
    let listed = process::output(&mut project.cargo(&tree)?)?;
    ensure!(
        !listed.lines().any(|line| line.starts_with("burn")),
        "crates without Burn should not reach it, but a project that uses them does"
    );
    for (name, feature) in ALONE {
        // One package at a time: packages that are compiled together share their features.
        let package = alone(name, feature);
        process::run(&mut project.cargo(&["check", "--offline", "--quiet", "-p", &package])?)?;
    }
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
        for (name, feature) in ALONE {
            let source = project.folder.join("alone").join(alone(name, feature)).join("src");
            fs::create_dir_all(&source)
                .with_context(|| format!("cannot make {}", source.display()))?;
            write(&source.join("lib.rs"), "")?;
            write(&source.with_file_name("Cargo.toml"), &manifest_alone(&root, name, feature))?;
        }
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
    let dependencies = CRATES.map(|name| dependency(root, name, None));
    let package = package("outside");
    // Each package's features are its own: cargo joins them only for what it compiles together.
    format!(
        "{package}[workspace]\nmembers = [\"alone/*\"]\nresolver = \"3\"\n\n[dependencies]\n{}",
        dependencies.concat()
    )
}

/// The name of the package that depends on one crate alone.
fn alone(name: &str, feature: Option<&str>) -> String {
    match feature {
        None => format!("{name}-alone"),
        Some(feature) => format!("{name}-alone-with-{feature}"),
    }
}

fn manifest_alone(root: &Path, name: &str, feature: Option<&str>) -> String {
    let package = package(&alone(name, feature));
    format!("{package}[dependencies]\n{}", dependency(root, name, feature))
}

fn package(name: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n")
}

fn dependency(root: &Path, name: &str, feature: Option<&str>) -> String {
    let path = root.join("crates").join(name);
    let features = feature.map(|feature| format!(", features = ['{feature}']"));
    // TOML's literal strings keep the backslashes of Windows.
    format!("{name} = {{ path = '{}'{} }}\n", path.display(), features.unwrap_or_default())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dependencies;

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

    #[test]
    fn a_package_for_one_crate_names_that_crate_and_its_feature() {
        let manifest = manifest_alone(Path::new("/workspace"), "eef", Some("testing"));
        assert!(manifest.contains("name = \"eef-alone-with-testing\""), "{manifest}");
        let dependencies = manifest.split_once("[dependencies]\n").unwrap().1;
        assert_eq!(
            dependencies,
            "eef = { path = '/workspace/crates/eef', features = ['testing'] }\n"
        );
    }

    #[test]
    fn every_crate_without_burn_is_compiled_alone() {
        for name in dependencies::without_burn() {
            assert!(ALONE.contains(&(name, None)), "{name} is not in the table ALONE");
        }
    }
}
