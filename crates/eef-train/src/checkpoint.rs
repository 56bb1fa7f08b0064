//! Checkpoints: everything that a training needs to continue where it stopped.
//!
//! A file is a line that names the format, the length of a JSON header (8 bytes, little endian),
//! the header, then weights, first and second moments (f32, little endian, in visiting order),
//! then the BLAKE3 hash of all that. It is written under another name, flushed to the disk and
//! renamed, so a file with its right name is whole unless the disk lost it; the hash finds that
//! out. Burn's recorders write weights and optimiser into two files under random ids and check
//! nothing, which is why this format is our own.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::TrainError;

const MAGIC: &[u8] = b"eef-train checkpoint v1\n";
const EXTENSION: &str = "checkpoint";
/// The newest, and one in case the disk loses it.
const N_KEPT: usize = 2;

/// How far a training is, apart from its numbers by the million.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Hash of examples, initial model and configuration.
    pub fingerprint: String,
    /// Steps done, skipped ones included.
    pub step: u64,
    /// Updates that the optimiser made.
    pub n_updates: u64,
    /// Steps just now whose loss or gradients were not finite.
    pub n_not_finite: u32,
    pub n_tokens: u64,
    pub n_trained_tokens: u64,
    /// Mean losses of the epochs that ended.
    pub epoch_losses: Vec<f64>,
    /// Sum of losses in the running epoch, and of how many tokens or pairs.
    pub epoch_loss_sum: f64,
    #[serde(alias = "epoch_loss_tokens")]
    pub epoch_loss_count: u64,
    /// Length of each of the three rows.
    pub n_parameters: usize,
}

/// A training at one step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checkpoint {
    pub position: Position,
    pub weights: Vec<f32>,
    pub moment_1: Vec<f32>,
    pub moment_2: Vec<f32>,
}

/// The checkpoints of one training, in a directory of their own.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointDirectory {
    path: PathBuf,
}

impl CheckpointDirectory {
    pub fn open(path: PathBuf) -> Result<Self, TrainError> {
        fs::create_dir_all(&path).map_err(TrainError::io("create", &path))?;
        Ok(Self { path })
    }

    /// Writes a checkpoint; it exists either whole or not at all. Older ones than the last two go.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let path = self.path.join(format!("step-{:09}.{EXTENSION}", checkpoint.position.step));
        let temporary = path.with_extension("tmp");
        let written = write(&temporary, checkpoint)
            .map_err(TrainError::io("write the checkpoint", &temporary));
        if written.is_err() {
            // Gives the space back where the disk is full; the first error is the one to tell.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        fs::rename(&temporary, &path).map_err(TrainError::io("rename into place", &path))?;
        sync_directory(&self.path)?;
        for (_, old) in self.list()?.iter().rev().skip(N_KEPT) {
            fs::remove_file(old).map_err(TrainError::io("remove the old checkpoint", old))?;
        }
        Ok(())
    }

    /// The newest checkpoint that is whole. Damaged ones are put aside with a warning.
    ///
    /// # Errors
    /// [`TrainError::Foreign`] where a whole one belongs to another training.
    pub fn load_newest(
        &self,
        fingerprint: &str,
        n_parameters: usize,
    ) -> Result<Option<Checkpoint>, TrainError> {
        for (step, path) in self.list()?.iter().rev() {
            match read(path) {
                Ok(found) if found.position.fingerprint != fingerprint => {
                    return Err(TrainError::Foreign { path: path.clone() });
                }
                Ok(found) if found.position.n_parameters == n_parameters => {
                    return Ok(Some(found));
                }
                Ok(_) => return Err(TrainError::Foreign { path: path.clone() }),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(step, path = %path.display(), %error, "skipped a damaged checkpoint");
                    let aside = path.with_extension("damaged");
                    fs::rename(path, &aside).map_err(TrainError::io("put aside", path))?;
                }
                Err(error) => return Err(TrainError::io("read the checkpoint", path)(error)),
            }
        }
        Ok(None)
    }

    /// Removes every checkpoint: the training they were for is complete.
    pub fn clear(&self) -> Result<(), TrainError> {
        fs::remove_dir_all(&self.path).map_err(TrainError::io("remove", &self.path))
    }

    /// Removes what a training left in this place that was killed between writing its output and
    /// [`clear`](Self::clear). Another training's checkpoints stay: that one may not be finished.
    pub fn clear_remains(path: PathBuf, fingerprint: &str) -> Result<(), TrainError> {
        if !path.try_exists().map_err(TrainError::io("look for", &path))? {
            return Ok(());
        }
        let directory = Self { path };
        for (_, file) in directory.list()? {
            match read(&file) {
                Ok(found) if found.position.fingerprint == fingerprint => {}
                Ok(_) => return Ok(()),
                // Damaged: whose it was cannot be told, and nobody can continue from it.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(TrainError::io("read the checkpoint", &file)(error)),
            }
        }
        directory.clear()
    }

    /// Steps and files, oldest first.
    fn list(&self) -> Result<Vec<(u64, PathBuf)>, TrainError> {
        let mut found = Vec::new();
        let entries = fs::read_dir(&self.path).map_err(TrainError::io("list", &self.path))?;
        for entry in entries {
            let path = entry.map_err(TrainError::io("list", &self.path))?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION)
                && let Some(step) = step_of(&path)
            {
                found.push((step, path));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Makes a rename or a new entry in a directory last.
pub(crate) fn sync_directory(path: &Path) -> Result<(), TrainError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(TrainError::io("flush", path))
}

fn step_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.strip_prefix("step-")?.parse().ok()
}

fn write(path: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    let mut out = Hashing { inner: File::create(path)?, hasher: blake3::Hasher::new() };
    let header = serde_json::to_vec(&checkpoint.position)?;
    out.write_all(MAGIC)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let mut buffer = Vec::with_capacity(1 << 18);
    for row in [&checkpoint.weights, &checkpoint.moment_1, &checkpoint.moment_2] {
        for part in row.chunks(1 << 16) {
            buffer.clear();
            buffer.extend(part.iter().flat_map(|value| value.to_le_bytes()));
            out.write_all(&buffer)?;
        }
    }
    let Hashing { inner: mut file, hasher } = out;
    file.write_all(hasher.finalize().as_bytes())?;
    file.sync_all()
}

fn read(path: &Path) -> io::Result<Checkpoint> {
    let file = File::open(path)?;
    let n_bytes = file.metadata()?.len();
    let mut input = Hashing { inner: BufReader::new(file), hasher: blake3::Hasher::new() };
    let mut magic = [0; MAGIC.len()];
    input.read_or_damaged(&mut magic)?;
    if magic != MAGIC {
        return Err(damaged("it does not start as a checkpoint does"));
    }
    let mut length = [0; 8];
    input.read_or_damaged(&mut length)?;
    let header_length = u64::from_le_bytes(length);
    // Lengths come from the file: nothing is allocated that the file could not fill.
    let fixed = MAGIC.len() as u64 + 8 + blake3::OUT_LEN as u64;
    let available = n_bytes.saturating_sub(fixed);
    if header_length > available {
        return Err(damaged("its header is longer than the file"));
    }
    let mut header = vec![0; header_length as usize];
    input.read_or_damaged(&mut header)?;
    let position: Position =
        serde_json::from_slice(&header).map_err(|error| damaged(&error.to_string()))?;
    let expected = (position.n_parameters as u64).checked_mul(12);
    if expected != Some(available - header_length) {
        return Err(damaged("its length is not what its header says"));
    }
    let weights = input.read_row(position.n_parameters)?;
    let moment_1 = input.read_row(position.n_parameters)?;
    let moment_2 = input.read_row(position.n_parameters)?;
    let found = *input.hasher.finalize().as_bytes();
    let mut stored = [0; blake3::OUT_LEN];
    input.read_or_damaged(&mut stored)?;
    if stored != found {
        return Err(damaged("its hash does not match its content"));
    }
    Ok(Checkpoint { position, weights, moment_1, moment_2 })
}

fn damaged(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Hashes what passes through.
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
}

impl<T: Write> Hashing<T> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<T: Read> Hashing<T> {
    fn read_or_damaged(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it ends too early"),
            _ => error,
        })?;
        self.hasher.update(buffer);
        Ok(())
    }

    fn read_row(&mut self, n: usize) -> io::Result<Vec<f32>> {
        let mut row = Vec::with_capacity(n);
        let mut buffer = vec![0; (1 << 18).min(n * 4)];
        while row.len() < n {
            let part = buffer.len().min((n - row.len()) * 4);
            self.read_or_damaged(&mut buffer[..part])?;
            let (values, _) = buffer[..part].as_chunks::<4>();
            row.extend(values.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(step: u64) -> Checkpoint {
        let row = |offset: f32| (0..100).map(|i| i as f32 + offset).collect();
        Checkpoint {
            position: Position {
                fingerprint: "a".into(),
                step,
                n_parameters: 100,
                epoch_losses: vec![0.1 + 0.2],
                ..Position::default()
            },
            weights: row(0.0),
            moment_1: row(0.5),
            moment_2: row(0.25),
        }
    }

    #[test]
    fn the_newest_is_loaded_and_old_ones_go() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = CheckpointDirectory::open(scratch.path().join("c")).unwrap();
        assert_eq!(directory.load_newest("a", 100).unwrap(), None);
        for step in 1..=4 {
            directory.save(&checkpoint(step)).unwrap();
        }
        assert_eq!(directory.list().unwrap().len(), N_KEPT);
        assert_eq!(directory.load_newest("a", 100).unwrap(), Some(checkpoint(4)));
    }

    #[test]
    fn checkpoints_of_another_training_are_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = CheckpointDirectory::open(scratch.path().join("c")).unwrap();
        directory.save(&checkpoint(1)).unwrap();
        for (fingerprint, n) in [("b", 100), ("a", 99)] {
            let error = directory.load_newest(fingerprint, n).unwrap_err();
            assert!(matches!(error, TrainError::Foreign { .. }), "{error}");
        }
    }

    #[test]
    fn remains_are_cleared_and_checkpoints_of_another_training_are_not() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("c");
        CheckpointDirectory::clear_remains(path.clone(), "a").unwrap();
        let directory = CheckpointDirectory::open(path.clone()).unwrap();
        directory.save(&checkpoint(1)).unwrap();
        directory.save(&checkpoint(2)).unwrap();
        CheckpointDirectory::clear_remains(path.clone(), "b").unwrap();
        assert_eq!(directory.list().unwrap().len(), 2);
        CheckpointDirectory::clear_remains(path.clone(), "a").unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_found() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("whole");
        write(&path, &checkpoint(1)).unwrap();
        let whole = fs::read(&path).unwrap();
        let damaged_path = scratch.path().join("damaged");
        let mut n_compared = 0;
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x10;
            for variant in [&bytes[..], &whole[..place]] {
                fs::write(&damaged_path, variant).unwrap();
                let error = read(&damaged_path).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {place}: {error}");
                n_compared += 1;
            }
        }
        assert!(n_compared > 2 * 1200);
    }

    #[test]
    fn a_damaged_newest_gives_way_to_the_one_before() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = CheckpointDirectory::open(scratch.path().join("c")).unwrap();
        directory.save(&checkpoint(1)).unwrap();
        directory.save(&checkpoint(2)).unwrap();
        let newest = directory.list().unwrap().pop().unwrap().1;
        let mut bytes = fs::read(&newest).unwrap();
        bytes.truncate(700);
        fs::write(&newest, bytes).unwrap();
        assert_eq!(directory.load_newest("a", 100).unwrap(), Some(checkpoint(1)));
        assert!(newest.with_extension("damaged").exists());
    }
}
