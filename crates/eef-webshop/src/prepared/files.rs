//! Reading and writing the directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use eef_core::Split;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Parts, PreparedData};
use crate::error::WebShopError;
use crate::goal::Goal;

/// The version of the directory's format.
pub const FORMAT_VERSION: u32 = 1;

const MANIFEST: &str = "manifest.json";
const FILES: [&str; 6] =
    ["items.json", "attributes.json", "prices.json", "goals.jsonl", "nouns.json", "NOTICE.md"];

#[derive(Serialize, Deserialize)]
struct Manifest {
    format_version: u32,
    name: String,
    seed: u64,
    n_products: usize,
    n_goals: BTreeMap<String, usize>,
    /// BLAKE3 of the files that the data was made from, by role.
    inputs: BTreeMap<String, String>,
    /// BLAKE3 of the files beside this one.
    files: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct GoalRecord<G> {
    split: String,
    #[serde(flatten)]
    goal: G,
}

impl PreparedData {
    /// Writes the directory. Files that are as they should be are not touched; the manifest comes
    /// last, so that an interrupted writing is noticed when the directory is opened. Tells whether
    /// anything changed.
    ///
    /// # Errors
    /// [`WebShopError::Write`].
    pub fn write(&self, directory: &Path) -> Result<bool, WebShopError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WebShopError::Write { path, source }
        };
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let mut changed = false;
        let mut hashes = BTreeMap::new();
        for name in FILES {
            let path = directory.join(name);
            let bytes = self.file(name).map_err(failed(&path))?;
            hashes.insert(name.to_owned(), blake3::hash(&bytes).to_string());
            changed |= replace(&path, &bytes).map_err(failed(&path))?;
        }
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            name: self.name.clone(),
            seed: self.seed,
            n_products: self.items.len(),
            n_goals: Split::ALL
                .into_iter()
                .map(|split| {
                    let n = self.goals.iter().filter(|(other, _)| *other == split).count();
                    (split.to_string(), n)
                })
                .collect(),
            inputs: self.inputs.clone(),
            files: hashes,
        };
        let path = directory.join(MANIFEST);
        let mut bytes = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| failed(&path)(io::Error::other(error)))?;
        bytes.push(b'\n');
        changed |= replace(&path, &bytes).map_err(failed(&path))?;
        Ok(changed)
    }

    /// Reads a directory back.
    ///
    /// # Errors
    /// A file that is missing, changed, of another format or unreadable, named.
    pub fn read(directory: &Path) -> Result<Self, WebShopError> {
        let path = directory.join(MANIFEST);
        let manifest: Manifest = parse(&path, &read(&path)?, "the manifest of prepared data")?;
        if manifest.format_version != FORMAT_VERSION {
            let found = manifest.format_version;
            return Err(WebShopError::Version { path, found, expected: FORMAT_VERSION });
        }
        let text = |name: &str| -> Result<String, WebShopError> {
            let path = directory.join(name);
            let text = read(&path)?;
            let found = blake3::hash(text.as_bytes()).to_string();
            let expected = manifest.files.get(name).cloned().unwrap_or_default();
            if found == expected {
                Ok(text)
            } else {
                Err(WebShopError::Changed { path, expected, found })
            }
        };
        let goals = read_goals(&directory.join("goals.jsonl"), &text("goals.jsonl")?)?;
        let load = |name: &str| Ok::<_, WebShopError>((directory.join(name), text(name)?));
        let (path, items) = load("items.json")?;
        let items = parse(&path, &items, "a list of products")?;
        let (path, annotations) = load("attributes.json")?;
        let annotations = parse(&path, &annotations, "attributes by asin")?;
        let (path, prices) = load("prices.json")?;
        let prices = parse(&path, &prices, "dollars by asin")?;
        let (path, nouns) = load("nouns.json")?;
        let nouns = parse(&path, &nouns, "lists of nouns by asin")?;
        let (name, seed, notice) = (manifest.name, manifest.seed, text("NOTICE.md")?);
        let parts = Parts { name, seed, items, annotations, prices, goals, nouns, notice };
        let mut data = Self::new(parts)?;
        data.inputs = manifest.inputs;
        Ok(data)
    }

    fn file(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        match name {
            "items.json" => {
                out.extend(b"[\n");
                for (number, item) in self.items.iter().enumerate() {
                    out.extend(if number == 0 { "" } else { ",\n" }.bytes());
                    serde_json::to_writer(&mut out, item)?;
                }
                out.extend(b"\n]\n");
            }
            "attributes.json" => write_map(&mut out, &self.annotations)?,
            "prices.json" => write_map(&mut out, &self.prices)?,
            "nouns.json" => write_map(&mut out, &self.nouns)?,
            "goals.jsonl" => {
                for (split, goal) in &self.goals {
                    serde_json::to_writer(
                        &mut out,
                        &GoalRecord { split: split.to_string(), goal },
                    )?;
                    out.push(b'\n');
                }
            }
            _ => out.extend(self.notice.bytes()),
        }
        Ok(out)
    }
}

fn read_goals(path: &Path, text: &str) -> Result<Vec<(Split, Goal)>, WebShopError> {
    let mut goals = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let bad = |message: String| WebShopError::Record {
            path: path.to_owned(),
            record: (number + 1).to_string(),
            message,
        };
        let record: GoalRecord<Goal> =
            serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        let split =
            record.split.parse().map_err(|error: eef_core::UnknownSplit| bad(error.to_string()))?;
        goals.push((split, record.goal));
    }
    Ok(goals)
}

/// An object with one entry a line, so that differences can be read.
fn write_map<T: Serialize>(out: &mut Vec<u8>, map: &BTreeMap<String, T>) -> io::Result<()> {
    out.extend(b"{");
    for (number, (key, value)) in map.iter().enumerate() {
        out.extend(if number == 0 { "\n" } else { ",\n" }.bytes());
        serde_json::to_writer(&mut *out, key)?;
        out.extend(b": ");
        serde_json::to_writer(&mut *out, value)?;
    }
    out.extend(b"\n}\n");
    Ok(())
}

/// Puts a file in place as a whole; tells whether it was another before.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let write = || {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    let result = write();
    if result.is_err() {
        // What is left of a failed writing helps nobody; the failure itself is what is reported.
        let _ = fs::remove_file(&temporary);
    }
    result.map(|()| true)
}

pub(crate) fn read(path: &Path) -> Result<String, WebShopError> {
    fs::read_to_string(path).map_err(|source| WebShopError::Read { path: path.to_owned(), source })
}

pub(super) fn parse<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    expected: &'static str,
) -> Result<T, WebShopError> {
    serde_json::from_str(text).map_err(|error| WebShopError::syntax(path, expected, &error))
}
