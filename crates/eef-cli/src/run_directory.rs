//! The run directory: what a run is, and where it keeps what.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use eef_store::{RunLock, SqliteStore};
use serde::Serialize;

use crate::arguments::Global;
use crate::config::{Config, difference};

/// A run directory that belongs to this process alone.
pub struct RunDirectory {
    path: PathBuf,
    _lock: RunLock,
}

/// With what a run was made; written beside its configuration.
#[derive(Debug, Serialize)]
struct Provenance {
    program: String,
    git_revision: Option<String>,
    seed: u64,
    device: String,
    operating_system: &'static str,
    architecture: &'static str,
    n_cores: usize,
}

impl RunDirectory {
    /// Creates the directory or opens the one that is there, if it was made with the same
    /// configuration and no other process works in it.
    pub fn open(global: &Global, config: &Config, prefix: &str) -> anyhow::Result<Self> {
        let path = path(global, config, prefix);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make the run directory {}", path.display()))?;
        let lock = RunLock::acquire(&path)?;
        let resolved = toml::to_string(config).context("cannot write the configuration down")?;
        let file = path.join("config.toml");
        match std::fs::read_to_string(&file) {
            Ok(old) => {
                if let Some(difference) = difference(&old, &resolved) {
                    bail!(
                        "{} holds a run with another configuration: {difference}; choose another \
                         --run-dir",
                        path.display()
                    );
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                write(&file, resolved.as_bytes())?;
                let provenance = serde_json::to_vec_pretty(&Provenance::of(config))?;
                write(&path.join("provenance.json"), &provenance)?;
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        }
        Ok(Self { path, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its store.
    pub fn store(&self) -> anyhow::Result<SqliteStore> {
        Ok(SqliteStore::open(store_file(&self.path))?)
    }
}

/// Where the run of a configuration is kept.
pub fn path(global: &Global, config: &Config, prefix: &str) -> PathBuf {
    let name = format!("{prefix}{}-seed{}", config.name, config.seed);
    global.run_dir.clone().unwrap_or_else(|| Path::new("runs").join(name))
}

/// The store's file in a run directory.
pub fn store_file(run: &Path) -> PathBuf {
    run.join("store.sqlite")
}

/// Writes a file whole: it has its old content or the new one, whatever happens.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, bytes)
        .and_then(|()| std::fs::File::open(&partial)?.sync_all())
        .and_then(|()| std::fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

impl Provenance {
    fn of(config: &Config) -> Self {
        Self {
            program: format!("eef-cli {}", env!("CARGO_PKG_VERSION")),
            git_revision: git_revision(),
            seed: config.seed,
            device: config.machine.device.clone(),
            operating_system: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            n_cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// The revision of the checkout that this binary was built in, if it still is one.
fn git_revision() -> Option<String> {
    let output = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--abbrev=40"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}
