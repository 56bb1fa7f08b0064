//! A cassette's file: a header, then a line of JSON for each state.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::DETERMINISM_FLAGS;
use crate::error::ScienceWorldError;
use crate::jar::JAR_SHA256;
use crate::pool::Game;
use crate::protocol::State;

const FORMAT: &str = "eef-scienceworld-cassette";
const VERSION: u32 = 1;

/// The first line: what the states were recorded with.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    jar_sha256: String,
    flags: Vec<String>,
}

/// A recorded state. States are numbered from 0 in the order of their lines.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Line {
    /// The start of a game.
    Start { start: Game, description: String, state: State },
    /// What came of an action.
    Step { after: u32, action: String, state: State },
}

impl Line {
    /// Where it belongs, in words: the game or the state, and what comes there.
    pub(super) fn place(&self) -> (String, String) {
        match self {
            Self::Start { start, .. } => (start.to_string(), "the start".to_owned()),
            Self::Step { after, action, .. } => (format!("state {after}"), action.clone()),
        }
    }

    /// Everything that it shows, as one text.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Start { description, state, .. } => shown(Some(description), state),
            Self::Step { state, .. } => shown(None, state),
        }
    }
}

/// Everything that is shown at a start or after an action, as one text to be compared.
pub(super) fn shown(description: Option<&String>, state: &State) -> String {
    format!("{description:?} {state:?}")
}

fn header() -> Header {
    Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        jar_sha256: JAR_SHA256.to_owned(),
        flags: DETERMINISM_FLAGS.map(str::to_owned).to_vec(),
    }
}

/// Reads a file line by line; gives it back open for appending where it is to be recorded.
pub(super) fn open(
    path: &Path,
    records: bool,
    mut add: impl FnMut(Line) -> Result<(), String>,
) -> Result<Option<File>, ScienceWorldError> {
    let write = |source| ScienceWorldError::Write { path: path.to_owned(), source };
    let read = |source| ScienceWorldError::Read { path: path.to_owned(), source };
    let mut file = None;
    if records {
        let opened = File::options().create(true).append(true).read(true).open(path);
        let opened = opened.map_err(write)?;
        match opened.try_lock() {
            Ok(()) => file = Some(opened),
            Err(TryLockError::WouldBlock) => {
                return Err(ScienceWorldError::CassetteBusy { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(write(source)),
        }
    }
    let text = fs::read(path).map_err(read)?;
    // A line without its end was cut off while it was written.
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    if end < text.len() {
        tracing::warn!(path = %path.display(), "the last line is cut off, and left out");
        if let Some(file) = &file {
            file.set_len(end as u64).map_err(write)?;
        }
    }
    let bad = |line: usize, message: String| {
        Err(ScienceWorldError::Cassette { path: path.to_owned(), line, message })
    };
    for (number, line) in text[..end].split(|byte| *byte == b'\n').enumerate() {
        match number {
            _ if line.is_empty() && number > 0 => {}
            0 if end == 0 => {}
            0 => match serde_json::from_slice::<Header>(line) {
                Ok(found) if found == header() => {}
                Ok(Header { format, version, .. }) if (&*format, version) != (FORMAT, VERSION) => {
                    let message = format!(
                        "is {format} version {version}: expected {FORMAT} version {VERSION}; \
                         record it again"
                    );
                    return bad(1, message);
                }
                Ok(Header { jar_sha256, flags, .. }) => {
                    let message = format!(
                        "was recorded with the jar {jar_sha256} and {flags:?}: expected \
                         {JAR_SHA256} and {DETERMINISM_FLAGS:?}; record it again"
                    );
                    return bad(1, message);
                }
                Err(error) => return bad(1, format!("is no cassette's first line: {error}")),
            },
            _ => {
                let added = serde_json::from_slice(line)
                    .map_err(|error| format!("is neither a start nor a step: {error}"));
                if let Err(message) = added.and_then(&mut add) {
                    return bad(number + 1, message);
                }
            }
        }
    }
    if end == 0 {
        let Some(file) = &mut file else {
            return bad(1, format!("is empty: expected {FORMAT} version {VERSION}"));
        };
        let begin = || -> io::Result<()> {
            let mut bytes = serde_json::to_vec(&header())?;
            bytes.push(b'\n');
            file.write_all(&bytes)
        };
        let mut begin = begin;
        begin().map_err(write)?;
    }
    Ok(file)
}
