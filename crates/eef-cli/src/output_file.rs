//! Where a verb writes trajectories: a file, or stdout where `--out` is `-`.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use eef_core::Split;
use eef_store::{
    ExportReport, StoreError, TrajectoryStore, export_splits_jsonl, write_splits_jsonl,
};
use serde::Serialize;

use crate::context::Context;
use crate::output;

/// Writes every trajectory of a store as JSONL and gives their number.
///
/// A file appears whole or not at all; a FIFO or a device is written to as it stands.
pub fn export(store: &dyn TrajectoryStore, out: &Path) -> anyhow::Result<usize> {
    Ok(export_splits(store, &Split::ALL, out)?.n_written)
}

/// As [`export`], only the trajectories on tasks of these splits.
pub fn export_splits(
    store: &dyn TrajectoryStore,
    splits: &[Split],
    out: &Path,
) -> anyhow::Result<ExportReport> {
    if !is_stdout(out) {
        return Ok(export_splits_jsonl(store, splits, out)?);
    }
    let mut writer = BufWriter::new(Leavable(io::stdout().lock()));
    let report = write_splits_jsonl(store, splits, &mut writer, "stdout")?;
    let failed = |source| StoreError::Io { doing: "write", path: "stdout".into(), source };
    writer.flush().map_err(failed)?;
    Ok(report)
}

/// Writes a file whole or not at all, or to stdout where `--out` is `-`.
pub fn write_bytes(out: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if is_stdout(out) {
        let mut stdout = Leavable(io::stdout().lock());
        stdout.write_all(bytes).and_then(|()| stdout.flush())?;
        return Ok(());
    }
    eef_weights::write_atomically(out, |file| file.write_all(bytes))?;
    Ok(())
}

/// A writer whose reader may go away (`| head`): it has what it wanted, so that is no error.
struct Leavable<W>(W);

impl<W: Write> Write for Leavable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            other => other,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// Says what was written: on stdout, or on stderr where stdout holds the trajectories.
pub fn report(
    context: &Context,
    out: &Path,
    record: &impl Serialize,
    text: &str,
) -> anyhow::Result<()> {
    if is_stdout(out) {
        let mut record = serde_json::to_value(record)?;
        record["event"] = "result".into();
        context.progress.line(text.trim_end(), record);
        return Ok(());
    }
    if context.global.json {
        return output::print_json(record);
    }
    output::print(&format!("{}\n", text.trim_end()))
}

/// `-`, or a path such as `/dev/stdout` to what stdout writes to already.
fn is_stdout(out: &Path) -> bool {
    out == Path::new("-") || is_file_of_stdout(out)
}

#[cfg(unix)]
fn is_file_of_stdout(out: &Path) -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    let stdout = io::stdout().as_fd().try_clone_to_owned().map(std::fs::File::from);
    let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
    let stdout = stdout.and_then(|file| file.metadata()).map(identity);
    let named = std::fs::metadata(out).map(identity);
    matches!((stdout, named), (Ok(stdout), Ok(named)) if stdout == named)
}

#[cfg(not(unix))]
fn is_file_of_stdout(_: &Path) -> bool {
    false
}
