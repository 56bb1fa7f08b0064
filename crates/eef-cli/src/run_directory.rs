//! The run directory: what a run is, and where it keeps what.

mod provenance;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use eef_store::{RunLock, SqliteStore, StoreError, TrajectoryStore, write_whole};

use crate::arguments::Global;
use crate::config::{Config, difference};
use crate::context::Context;
use provenance::Provenance;

/// The resolved configuration of a run. A directory that has it is a run's.
pub const CONFIG_FILE: &str = "config.toml";

const PROVENANCE_FILE: &str = "provenance.json";
const STORE_FILE: &str = "store.sqlite";
/// Seconds, over all calls.
const TIME_FILE: &str = "seconds.txt";

/// What a directory may hold before anything was done in it; the store then has no trajectories.
const BEFORE_WORK: [&str; 8] = [
    CONFIG_FILE,
    PROVENANCE_FILE,
    TIME_FILE,
    "run.lock",
    STORE_FILE,
    "store.sqlite-wal",
    "store.sqlite-shm",
    "store.sqlite-journal",
];

/// A run directory that belongs to this process alone.
pub struct RunDirectory {
    path: PathBuf,
    _lock: RunLock,
}

impl RunDirectory {
    /// Creates the directory or opens the one that is there, if it was made with the same
    /// configuration but for what changes no result (see [`difference`]) and no other process works
    /// in it. One in which nothing was done yet takes
    /// another configuration.
    ///
    /// Where the program or the machine is another than the one that began the run, a note says so.
    pub fn open(context: &Context, config: &Config, prefix: &str) -> anyhow::Result<Self> {
        let path = path(&context.global, config, prefix);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make the run directory {}", path.display()))?;
        let run = Self { _lock: RunLock::acquire(&path)?, path };
        let resolved = toml::to_string(config).context("cannot write the configuration down")?;
        let now = Provenance::of(config);
        let file = run.path.join(CONFIG_FILE);
        let difference = match std::fs::read_to_string(&file) {
            Ok(old) => difference(&old, &resolved),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                run.describe(&resolved, &now)?;
                return Ok(run);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        match difference {
            Some(difference) if run.is_begun()? => bail!(
                "{} holds a run with another configuration: {difference}; choose another --run-dir",
                run.path.display()
            ),
            Some(_) => run.describe(&resolved, &now)?,
            None => {
                if let Some(warning) = run.warning(&now) {
                    context.progress.note(&warning);
                }
            }
        }
        Ok(run)
    }

    /// Writes down what the run is. The configuration comes last: where it is, the rest is too.
    fn describe(&self, resolved: &str, provenance: &Provenance) -> anyhow::Result<()> {
        let provenance = serde_json::to_vec_pretty(provenance)?;
        write(&self.path.join(PROVENANCE_FILE), &provenance)?;
        write(&self.path.join(CONFIG_FILE), resolved.as_bytes())
    }

    /// Whether anything was done here: then it was done with the configuration that is here.
    fn is_begun(&self) -> anyhow::Result<bool> {
        let unreadable = || format!("cannot list {}", self.path.display());
        for entry in std::fs::read_dir(&self.path).with_context(unreadable)? {
            let name = entry.with_context(unreadable)?.file_name();
            let name = name.to_string_lossy();
            if !(BEFORE_WORK.contains(&name.as_ref()) || name.ends_with(".partial")) {
                return Ok(true);
            }
        }
        Ok(store_file(&self.path).exists() && self.store()?.n_trajectories()? > 0)
    }

    /// What to say where this program or machine did not begin the run.
    fn warning(&self, now: &Provenance) -> Option<String> {
        let text = std::fs::read(self.path.join(PROVENANCE_FILE)).ok()?;
        let begun: Provenance = serde_json::from_slice(&text).ok()?;
        let difference = begun.difference(now)?;
        Some(format!(
            "{} was begun by another program or on another machine, so its bytes may differ from \
             those of a run that was not interrupted (then / now): {difference}",
            self.path.display()
        ))
    }

    /// Writes the configuration down anew, where it says what was asked last.
    pub fn remember(&self, config: &Config) -> anyhow::Result<()> {
        let resolved = toml::to_string(config).context("cannot write the configuration down")?;
        write(&self.path.join(CONFIG_FILE), resolved.as_bytes())
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
    run.join(STORE_FILE)
}

/// With what a run was begun, and how long it took, as names and values for people.
pub fn provenance(run: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let file = run.join(PROVENANCE_FILE);
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let begun: Provenance =
        serde_json::from_slice(&text).with_context(|| format!("cannot read {}", file.display()))?;
    let mut lines = begun.lines();
    if let Some(seconds) = seconds(run) {
        let time = crate::output::duration(seconds);
        lines.push(("time".to_owned(), format!("{time} of this machine, all calls together")));
    }
    Ok(lines)
}

/// Adds to the time that a run has taken. What a process did that was killed is not in it.
pub fn add_seconds(run: &Path, elapsed: f64) -> anyhow::Result<()> {
    let seconds = seconds(run).unwrap_or_default() + elapsed;
    write(&run.join(TIME_FILE), format!("{seconds}\n").as_bytes())
}

fn seconds(run: &Path) -> Option<f64> {
    std::fs::read_to_string(run.join(TIME_FILE)).ok()?.trim().parse().ok()
}

/// Writes a file whole: it has its old content or the new one, whatever happens.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = |source| StoreError::Io { doing: "write", path: path.to_owned(), source };
    Ok(write_whole(path, |file| file.write_all(bytes).map_err(failed))?)
}
