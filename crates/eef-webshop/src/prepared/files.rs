//! Reading and writing the directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use eef_core::Split;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Parts, PreparedData};
use crate::catalog::Catalog;
use crate::error::WebShopError;
use crate::goal::Goal;
use crate::search::SearchIndex;
use crate::shop::WebShop;

/// The version of the directory's format.
pub const FORMAT_VERSION: u32 = 1;

const MANIFEST: &str = "manifest.json";
/// What the name of a file ends with that is not written yet.
const PARTIAL: &str = ".partial";
pub(super) const PRODUCTS: &str = "products.bin";
pub(super) const SEARCH: &str = "search.bin";
pub(super) const GOALS: &str = "goals.jsonl";
pub(super) const PRICES: &str = "prices.json";
pub(super) const NOTICE: &str = "NOTICE.md";
/// The files of [`PreparedData`].
const TEXTS: [&str; 6] = ["items.json", "attributes.json", PRICES, GOALS, "nouns.json", NOTICE];

/// The files of [`prepare`](super::prepare).
pub(super) const MAPPED: [&str; 5] = [PRODUCTS, SEARCH, GOALS, PRICES, NOTICE];

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
}

impl Manifest {
    fn read(directory: &Path) -> Result<Self, WebShopError> {
        let path = directory.join(MANIFEST);
        let manifest: Self = parse(&path, &read(&path)?, "the manifest of prepared data")?;
        if manifest.format_version != FORMAT_VERSION {
            let found = manifest.format_version;
            return Err(WebShopError::Version { path, found, expected: FORMAT_VERSION });
        }
        Ok(manifest)
    }

    /// Checks that a file is the one that was written.
    fn check(&self, path: &Path, name: &str, found: &str) -> Result<(), WebShopError> {
        let expected = self.files.get(name).cloned().unwrap_or_default();
        if found == expected {
            return Ok(());
        }
        Err(WebShopError::Changed { path: path.to_owned(), expected, found: found.to_owned() })
    }

    /// A file's text, checked.
    fn text(&self, directory: &Path, name: &str) -> Result<(PathBuf, String), WebShopError> {
        let path = directory.join(name);
        let text = read(&path)?;
        self.check(&path, name, &blake3::hash(text.as_bytes()).to_string())?;
        Ok((path, text))
    }

    /// The path of a file that is mapped, checked where that takes no time.
    fn mapped(&self, directory: &Path, name: &str) -> Result<PathBuf, WebShopError> {
        let path = directory.join(name);
        let failed = |source| WebShopError::Read { path: path.clone(), source };
        if fs::metadata(&path).map_err(failed)?.len() <= MAX_HASHED {
            let found = hash_of(&path).map_err(failed)?;
            self.check(&path, name, &found)?;
        }
        Ok(path)
    }
}

pub(super) fn count(goals: &[(Split, Goal)]) -> BTreeMap<Split, usize> {
    let n = |split| goals.iter().filter(|(other, _)| *other == split).count();
    Split::ALL.into_iter().map(|split| (split, n(split))).collect()
}

#[derive(Serialize, Deserialize)]
struct GoalRecord<G> {
    split: String,
    #[serde(flatten)]
    goal: G,
}

/// A directory that is being written. Files are written beside their places and put there together
/// at the end, and only those that differ: until then the directory is as it was. While they are
/// put in place there is no manifest, so that an interruption is noticed when the directory is
/// opened.
pub(super) struct Writing<'a> {
    directory: &'a Path,
    /// The files that the manifest named when the writing began.
    old: Vec<String>,
    written: Vec<(Begun, String)>,
    /// Whether the directory was made for this.
    is_new: bool,
    is_done: bool,
}

impl<'a> Writing<'a> {
    /// Begins to write the files with these names. A directory that holds others and no manifest
    /// was not made by us, and is refused.
    pub(super) fn new(directory: &'a Path, names: &[&str]) -> Result<Self, WebShopError> {
        if directory.exists() && !directory.is_dir() {
            let source = io::Error::new(io::ErrorKind::NotADirectory, "it is a file, not a folder");
            return Err(failed(directory, source));
        }
        let is_new = !directory.exists();
        fs::create_dir_all(directory).map_err(|source| failed(directory, source))?;
        let old = match Manifest::read(directory) {
            Ok(manifest) => manifest.files.into_keys().collect(),
            Err(WebShopError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let is_ours = |name: &str| {
                    let name = name.strip_suffix(PARTIAL).unwrap_or(name);
                    names.contains(&name) || name == MANIFEST
                };
                for entry in fs::read_dir(directory).map_err(|source| failed(directory, source))? {
                    let name = entry.map_err(|source| failed(directory, source))?.file_name();
                    let name = name.to_string_lossy();
                    if !is_ours(&name) {
                        let source = io::Error::other(format!(
                            "it holds `{name}` and no manifest of prepared data: choose a folder \
                             that is empty or does not exist"
                        ));
                        return Err(failed(directory, source));
                    }
                }
                Vec::new()
            }
            // Of another version, or cut off: ours, and written anew.
            Err(_) => Vec::new(),
        };
        Ok(Self { directory, old, written: Vec::new(), is_new, is_done: false })
    }

    /// Writes a file as a whole.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), WebShopError> {
        let mut file = self.begin(name)?;
        file.write_all(bytes).map_err(|source| failed(&file.temporary, source))?;
        self.end(file).map(|_| ())
    }

    /// Begins a file that is written bit by bit.
    pub(super) fn begin(&self, name: &str) -> Result<Begun, WebShopError> {
        let path = self.directory.join(name);
        let mut temporary = path.clone().into_os_string();
        temporary.push(PARTIAL);
        let temporary = PathBuf::from(temporary);
        let file = File::create(&temporary).map_err(|source| failed(&temporary, source))?;
        let file = Hashing { file, hasher: blake3::Hasher::new() };
        let out = BufWriter::with_capacity(1 << 20, file);
        Ok(Begun { name: name.to_owned(), path, temporary, out })
    }

    /// Ends a file; gives where its bytes lie until it is put in its place.
    pub(super) fn end(&mut self, mut begun: Begun) -> Result<PathBuf, WebShopError> {
        begun.out.flush().map_err(|source| failed(&begun.temporary, source))?;
        let hash = begun.out.get_ref().hasher.finalize().to_string();
        let temporary = begun.temporary.clone();
        self.written.push((begun, hash));
        Ok(temporary)
    }

    /// Puts the files in their places, the manifest last; tells whether anything changed.
    pub(super) fn finish(mut self, mut manifest: Manifest) -> Result<bool, WebShopError> {
        let hashes = self.written.iter().map(|(begun, hash)| (begun.name.clone(), hash.clone()));
        manifest.files = hashes.collect();
        let path = self.directory.join(MANIFEST);
        let mut bytes = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| failed(&path, io::Error::other(error)))?;
        bytes.push(b'\n');
        self.file(MANIFEST, &bytes)?;
        let mut changed = Vec::new();
        for (begun, hash) in &self.written {
            let is_changed = begun
                .differs(hash)
                .and_then(|differs| {
                    if differs {
                        begun.out.get_ref().file.sync_all()?;
                    }
                    Ok(differs)
                })
                .map_err(|source| failed(&begun.path, source))?;
            if is_changed {
                changed.push(begun);
            }
        }
        if changed.iter().any(|begun| begun.name != MANIFEST) {
            if path.exists() {
                fs::remove_file(&path).map_err(|source| failed(&path, source))?;
            }
            // It comes last, and comes back even where it says the same.
            changed.retain(|begun| begun.name != MANIFEST);
            changed.extend(self.written.last().map(|(manifest, _)| manifest));
        }
        for begun in &changed {
            fs::rename(&begun.temporary, &begun.path)
                .map_err(|source| failed(&begun.path, source))?;
        }
        // What the directory had in another form is not of this one.
        for name in self.old.iter().filter(|name| !manifest.files.contains_key(*name)) {
            let path = self.directory.join(name);
            if path.exists() {
                fs::remove_file(&path).map_err(|source| failed(&path, source))?;
            }
        }
        let is_changed = !changed.is_empty();
        self.is_done = true;
        Ok(is_changed)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.written.clear();
        if self.is_new && !self.is_done {
            // Only where it is empty; the failure itself is what is reported.
            let _ = fs::remove_dir(self.directory);
        }
    }
}

/// A file that is being written beside its place. What is not ended is removed.
pub(super) struct Begun {
    name: String,
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<Hashing>,
}

/// A file whose bytes are hashed on their way.
struct Hashing {
    file: File,
    hasher: blake3::Hasher,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Begun {
    /// Whether its place has other bytes, or none.
    fn differs(&self, hash: &str) -> io::Result<bool> {
        let len = self.out.get_ref().file.metadata()?.len();
        match fs::metadata(&self.path) {
            Ok(old) if old.len() == len => Ok(hash_of(&self.path)? != hash),
            _ => Ok(true),
        }
    }

    /// A failure to write this file.
    pub(super) fn failed(&self) -> impl Fn(io::Error) -> WebShopError + 'static {
        let path = self.path.clone();
        move |source| failed(&path, source)
    }
}

impl Write for Begun {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Gone already where the file was put in its place; what is left of a failed writing helps
        // nobody, and the failure itself is what is reported.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn failed(path: &Path, source: io::Error) -> WebShopError {
    WebShopError::Write { path: path.to_owned(), source }
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_string()),
            n => hasher.update(&buffer[..n]),
        };
    }
}

/// Opens either form of the directory.
pub(super) fn open(directory: &Path) -> Result<WebShop, WebShopError> {
    let manifest = Manifest::read(directory)?;
    if !manifest.files.contains_key(PRODUCTS) {
        return PreparedData::read(directory)?.into_shop();
    }
    let (path, goals) = manifest.text(directory, GOALS)?;
    let goals = read_goals(&path, &goals)?;
    let catalog = Catalog::open(&manifest.mapped(directory, PRODUCTS)?)?;
    let path = manifest.mapped(directory, SEARCH)?;
    let index = SearchIndex::open(&path)?;
    if index.n_documents() != catalog.len() {
        let message = "it has another number of products than the catalogue";
        return Err(WebShopError::Damaged { path, message });
    }
    WebShop::with_index(manifest.name, catalog, index, goals)
}

impl PreparedData {
    /// Writes the directory, only what differs. Tells whether anything changed.
    ///
    /// # Errors
    /// [`WebShopError::Write`].
    pub fn write(&self, directory: &Path) -> Result<bool, WebShopError> {
        let mut writing = Writing::new(directory, &TEXTS)?;
        for name in TEXTS {
            let bytes = self.file(name).map_err(|source| failed(&directory.join(name), source))?;
            writing.file(name, &bytes)?;
        }
        writing.finish(Manifest {
            format_version: FORMAT_VERSION,
            name: self.name.clone(),
            seed: self.seed,
            n_products: self.items.len(),
            n_goals: named(count(&self.goals)),
            settings: BTreeMap::new(),
            inputs: BTreeMap::new(),
            files: BTreeMap::new(),
        })
    }

    /// Reads a directory back.
    ///
    /// # Errors
    /// A file that is missing, changed, of another format or unreadable, named.
    pub fn read(directory: &Path) -> Result<Self, WebShopError> {
        let manifest = Manifest::read(directory)?;
        let text = |name: &str| manifest.text(directory, name);
        let (path, goals) = text(GOALS)?;
        let goals = read_goals(&path, &goals)?;
        let (path, items) = text("items.json")?;
        let items = parse(&path, &items, "a list of products")?;
        let (path, annotations) = text("attributes.json")?;
        let annotations = parse(&path, &annotations, "attributes by asin")?;
        let (path, prices) = text(PRICES)?;
        let prices = parse(&path, &prices, "dollars by asin")?;
        let (path, nouns) = text("nouns.json")?;
        let nouns = parse(&path, &nouns, "lists of nouns by asin")?;
        let (_, notice) = text(NOTICE)?;
        let (name, seed) = (manifest.name, manifest.seed);
        Self::new(Parts { name, seed, items, annotations, prices, goals, nouns, notice })
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
            "attributes.json" => out = map_bytes(&self.annotations)?,
            PRICES => out = map_bytes(&self.prices)?,
            "nouns.json" => out = map_bytes(&self.nouns)?,
            GOALS => out = goal_bytes(&self.goals)?,
            _ => out.extend(self.notice.bytes()),
        }
        Ok(out)
    }
}

pub(super) fn named(n_goals: BTreeMap<Split, usize>) -> BTreeMap<String, usize> {
    n_goals.into_iter().map(|(split, n)| (split.to_string(), n)).collect()
}

/// A goal a line.
pub(super) fn goal_bytes(goals: &[(Split, Goal)]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    for (split, goal) in goals {
        serde_json::to_writer(&mut out, &GoalRecord { split: split.to_string(), goal })?;
        out.push(b'\n');
    }
    Ok(out)
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
pub(super) fn map_bytes<T: Serialize>(map: &BTreeMap<String, T>) -> io::Result<Vec<u8>> {
    let mut out = b"{".to_vec();
    for (number, (key, value)) in map.iter().enumerate() {
        out.extend(if number == 0 { "\n" } else { ",\n" }.bytes());
        serde_json::to_writer(&mut out, key)?;
        out.extend(b": ");
        serde_json::to_writer(&mut out, value)?;
    }
    out.extend(b"\n}\n");
    Ok(out)
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
