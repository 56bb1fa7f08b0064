//! The trained model's directory, complete as soon as it exists.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use eef_core::TrainSummary;
use eef_llama::{Llama, Precision};
use eef_weights::{ElementType, WriteOptions};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::adapter::write_adapter;
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

/// Writes the model, and what belongs to it of `init` (tokenizer, chat template), under a temporary
/// name, flushes everything to the disk, and renames. `precision` is what the model's matrices are in.
pub(crate) fn write_output(
    model: &Llama,
    precision: Precision,
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
    let written = fill(model, precision, init, &temporary, fingerprint, summary);
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
/// [`TrainError::Foreign`] where the directory is another training's, or something else;
/// [`TrainError::Io`] where it cannot be told.
pub(crate) fn read_finished(
    output: &Path,
    fingerprint: &str,
) -> Result<Option<TrainSummary>, TrainError> {
    if !output.try_exists().map_err(TrainError::io("look for", output))? {
        return Ok(None);
    }
    let foreign = || TrainError::Foreign { path: output.to_path_buf() };
    let path = output.join(RECORD);
    let text = fs::read(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => foreign(),
        // A disk that fails or a right that is missing must not end in advice to delete a model.
        _ => TrainError::io("read", &path)(error),
    })?;
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
    precision: Precision,
    init: &Path,
    directory: &Path,
    fingerprint: &str,
    summary: &TrainSummary,
) -> Result<(), TrainError> {
    copy_companions(init, directory)?;
    write_adapter(model, directory)?;
    // Clones share what merging leaves alone.
    let options = WriteOptions {
        element_type: match precision {
            Precision::F32 => ElementType::F32,
            Precision::Bf16 => ElementType::BF16,
        },
        ..WriteOptions::default()
    };
    model.clone().merge_lora().save_as(directory, options).map_err(|error| TrainError::Model {
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

/// Copies what stands beside the weights and stays true of them; weights themselves and their
/// configuration are written from the model.
fn copy_companions(from: &Path, to: &Path) -> Result<(), TrainError> {
    for path in files_of(from)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if is_companion(name) {
            fs::copy(&path, to.join(name)).map_err(TrainError::io("copy", &path))?;
        }
    }
    Ok(())
}

/// Only what is known: a directory may hold the weights a second time (`pytorch_model.bin`,
/// `consolidated.00.pth`, `model.gguf`), and beside the trained ones those would be wrong. A README
/// is left behind too: it describes the model that was trained from.
fn is_companion(name: &str) -> bool {
    // `tokenizer.json`, `tokenizer_config.json`, `tokenizer.model`; `chat_template.jinja`.
    const BEGINNINGS: [&str; 2] = ["tokenizer", "chat_template"];
    const NAMES: [&str; 8] = [
        "eef_chat.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "spiece.model",
        "tekken.json",
        "generation_config.json",
    ];
    // Licences of models must go where the model goes, however they are spelt.
    const TERMS: [&str; 4] = ["LICENSE", "LICENCE", "NOTICE", "USE_POLICY"];
    let upper = name.to_ascii_uppercase();
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || NAMES.contains(&name)
        || TERMS.iter().any(|term| upper.starts_with(term))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companions_are_copied_and_no_weights_besides_the_trained_ones() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        let companions = [
            "LICENSE.txt",
            "Notice",
            "USE_POLICY.md",
            "chat_template.jinja",
            "eef_chat.json",
            "generation_config.json",
            "merges.txt",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer.model",
            "tokenizer_config.json",
            "vocab.json",
        ];
        let others = [
            ".gitattributes",
            "README.md",
            "config.json",
            "consolidated.00.pth",
            "eef_training.json",
            "model-00001-of-00002.safetensors",
            "model.gguf",
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model-00001-of-00002.bin",
            "pytorch_model.bin.index.json",
        ];
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        for name in companions.iter().chain(&others) {
            fs::write(from.join(name), name).unwrap();
        }
        copy_companions(&from, &to).unwrap();
        let copied = files_of(&to).unwrap();
        let copied: Vec<_> = copied.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(copied, companions);
        assert_eq!(fs::read(to.join("tokenizer.json")).unwrap(), b"tokenizer.json");
    }

    #[test]
    fn only_what_is_certainly_something_else_is_called_another_training() {
        let root = tempfile::tempdir().unwrap();
        let output = root.path().join("output");
        assert!(read_finished(&output, "a").unwrap().is_none());
        let is_foreign = |output: &Path| {
            let error = read_finished(output, "a").unwrap_err();
            match error {
                TrainError::Foreign { .. } => true,
                TrainError::Io { path, .. } => {
                    assert_eq!(path, output.join(RECORD));
                    false
                }
                other => panic!("{other}"),
            }
        };
        fs::create_dir(&output).unwrap();
        assert!(is_foreign(&output), "a directory without a record");
        fs::write(output.join(RECORD), "{").unwrap();
        assert!(is_foreign(&output), "a record that does not parse");
        // A directory in the file's place cannot be read, as on a failing disk.
        fs::remove_file(output.join(RECORD)).unwrap();
        fs::create_dir(output.join(RECORD)).unwrap();
        assert!(!is_foreign(&output), "a record that cannot be read");
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(is_foreign(&file), "a file in the directory's place");
    }
}
