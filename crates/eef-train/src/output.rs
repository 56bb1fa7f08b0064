//! The trained model's directory, complete as soon as it exists.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use eef_core::TrainSummary;
use eef_llama::Llama;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::checkpoint::sync_directory;

/// What this crate adds to a model's directory: which training made it, and what it did.
const RECORD: &str = "eef_training.json";

#[derive(Serialize, Deserialize)]
struct Record {
    fingerprint: String,
    n_steps: u64,
    n_tokens: u64,
    n_trained_tokens: u64,
    epoch_losses: Vec<f64>,
}

/// Writes the model, and the other files of `init` (tokenizer, chat template), under a temporary
/// name, flushes everything to the disk, and renames.
pub(crate) fn write_output(
    model: &Llama,
    init: &Path,
    output: &Path,
    fingerprint: &str,
    summary: &TrainSummary,
) -> Result<(), TrainError> {
    let temporary = temporary_of(output);
    if temporary.exists() {
        fs::remove_dir_all(&temporary).map_err(TrainError::io("remove", &temporary))?;
    }
    fs::create_dir_all(&temporary).map_err(TrainError::io("create", &temporary))?;
    let written = fill(model, init, &temporary, fingerprint, summary);
    if written.is_err() {
        // Gives the space back where the disk is full; the first error is the one to tell.
        let _ = fs::remove_dir_all(&temporary);
    }
    written?;
    fs::rename(&temporary, output).map_err(TrainError::io("rename into place", output))?;
    sync_directory(parent_of(output))
}

/// The summary of a finished training, where its output is there already.
///
/// # Errors
/// [`TrainError::Foreign`] where the directory is another training's, or something else.
pub(crate) fn read_finished(
    output: &Path,
    fingerprint: &str,
) -> Result<Option<TrainSummary>, TrainError> {
    if !output.exists() {
        return Ok(None);
    }
    let foreign = || TrainError::Foreign { path: output.to_path_buf() };
    let text = fs::read(output.join(RECORD)).map_err(|_| foreign())?;
    let record: Record = serde_json::from_slice(&text).map_err(|_| foreign())?;
    if record.fingerprint != fingerprint {
        return Err(foreign());
    }
    Ok(Some(TrainSummary {
        n_steps: record.n_steps,
        n_tokens: record.n_tokens,
        n_trained_tokens: record.n_trained_tokens,
        epoch_losses: record.epoch_losses,
    }))
}

fn fill(
    model: &Llama,
    init: &Path,
    directory: &Path,
    fingerprint: &str,
    summary: &TrainSummary,
) -> Result<(), TrainError> {
    copy_companions(init, directory)?;
    model.save(directory).map_err(|error| TrainError::Model {
        doing: "write",
        path: directory.to_path_buf(),
        source: Box::new(error),
    })?;
    let record = Record {
        fingerprint: fingerprint.to_owned(),
        n_steps: summary.n_steps,
        n_tokens: summary.n_tokens,
        n_trained_tokens: summary.n_trained_tokens,
        epoch_losses: summary.epoch_losses.clone(),
    };
    let path = directory.join(RECORD);
    let text = serde_json::to_vec_pretty(&record).map_err(std::io::Error::from);
    text.and_then(|text| fs::write(&path, text)).map_err(TrainError::io("write", &path))?;
    for path in files_of(directory)? {
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(TrainError::io("flush", &path))?;
    }
    sync_directory(directory)
}

/// Copies what stands beside the weights; weights themselves and their configuration are written
/// from the model.
fn copy_companions(from: &Path, to: &Path) -> Result<(), TrainError> {
    for path in files_of(from)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // The index of shards too, `model.safetensors.index.json`.
        let is_weights = name.contains(".safetensors");
        if !is_weights && name != RECORD {
            fs::copy(&path, to.join(name)).map_err(TrainError::io("copy", &path))?;
        }
    }
    Ok(())
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let list = || {
        let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
        let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        files.retain(|path| path.is_file());
        files.sort();
        Ok(files)
    };
    list().map_err(TrainError::io("list", directory))
}

fn temporary_of(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    output.with_file_name(name)
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
