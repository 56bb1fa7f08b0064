//! The record of every step, one JSON object per line.
//!
//! burn-train's file logger panics where a file cannot be written and starts an empty file on
//! resume; a full disk must be an error here, and a resumed run continues its record.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{StepReport, TrainError};

/// Appends to the record of a training.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl MetricsFile {
    /// Opens the record; lines of steps after `n_steps_done` go, since they are done again.
    pub fn open(path: PathBuf, n_steps_done: u64) -> Result<Self, TrainError> {
        keep_steps(&path, n_steps_done)?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(TrainError::io("open the metrics file", &path))?;
        Ok(Self { path, file: BufWriter::new(file) })
    }

    /// Writes a line.
    pub fn append(&mut self, report: &StepReport) -> Result<(), TrainError> {
        serde_json::to_writer(&mut self.file, report)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| self.file.flush())
            .map_err(TrainError::io("write the metrics file", &self.path))
    }
}

fn keep_steps(path: &Path, n_steps_done: u64) -> Result<(), TrainError> {
    #[derive(Deserialize)]
    struct Line {
        step: u64,
    }
    if !path.exists() {
        return Ok(());
    }
    // Bytes, not text: a killed process may have left half a line.
    let bytes = fs::read(path).map_err(TrainError::io("read the metrics file", path))?;
    let kept: Vec<u8> = bytes
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| {
            line.ends_with(b"\n")
                && serde_json::from_slice::<Line>(line).is_ok_and(|line| line.step <= n_steps_done)
        })
        .flatten()
        .copied()
        .collect();
    if kept.len() < bytes.len() {
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, kept).map_err(TrainError::io("write", &temporary))?;
        fs::rename(&temporary, path).map_err(TrainError::io("rename into place", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: u64) -> StepReport {
        StepReport {
            step,
            n_steps: 9,
            epoch: 1,
            loss: 0.5,
            learning_rate: 1e-3,
            gradient_norm: 1.0,
            n_tokens: 10,
            n_trained_tokens: 3,
            updated: true,
            trained_tokens_per_second: 3e3,
            resident_bytes: None,
            tokens_per_second: 1e4,
            preference: None,
        }
    }

    #[test]
    fn a_resumed_record_has_every_step_once() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(path.clone(), 0).unwrap();
        for step in 1..=5 {
            file.append(&report(step)).unwrap();
        }
        drop(file);
        let mut cut = fs::read(&path).unwrap();
        cut.extend_from_slice(br#"{"step":6,"n_st"#);
        fs::write(&path, cut).unwrap();
        let mut file = MetricsFile::open(path.clone(), 3).unwrap();
        file.append(&report(4)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64())
            .map(Option::unwrap)
            .collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }
}
