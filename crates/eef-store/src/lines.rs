//! Reading text files line by line, with limits and with places in errors.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// No record is longer; what claims to be would only fill the memory.
const MAX_LINE: u64 = 64 << 20;

/// The lines of a file that are not blank.
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    line: usize,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        let reader = BufReader::new(file);
        Ok(Self { path: path.to_path_buf(), reader, buffer: Vec::new(), line: 0 })
    }

    /// The next line and its number, from 1.
    pub(crate) fn next_line(&mut self) -> Result<Option<(usize, &str)>, StoreError> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let mut limited = (&mut self.reader).take(MAX_LINE + 1);
            let n_bytes = limited
                .read_until(b'\n', &mut self.buffer)
                .map_err(StoreError::io("read", &self.path))?;
            if n_bytes == 0 {
                return Ok(None);
            }
            if n_bytes as u64 > MAX_LINE {
                return Err(self.failed(format!("a line of more than {MAX_LINE} bytes")));
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        match std::str::from_utf8(self.buffer.trim_ascii()) {
            Ok(text) => Ok(Some((self.line, text))),
            Err(error) => Err(self.failed(format!("expected UTF-8 text: {error}"))),
        }
    }

    fn failed(&self, message: String) -> StoreError {
        StoreError::Record { path: self.path.clone(), line: self.line, message }
    }
}

/// A failure of reading JSON that lies on one line.
pub(crate) fn record_error(
    path: &Path,
    line: usize,
    expected: &str,
    error: &serde_json::Error,
) -> StoreError {
    let text = error.to_string();
    // The parser's own "line 1" would contradict ours.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    let message = match error.column() {
        0 => format!("expected {expected}: {text}"),
        column => format!("expected {expected}: {text} (column {column})"),
    };
    StoreError::Record { path: path.to_path_buf(), line, message }
}
