//! What a pool and its workers say to each other, and in which form.
//!
//! A message is a length in four bytes, little endian, and that many bytes of JSON. The child speaks
//! first ([`Hello`]); then the parent sends requests, which are answered in any order.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Changed with every change of a message's form.
pub(crate) const PROTOCOL_VERSION: u32 = 1;

/// The variable that tells a child that it is a worker, and which one.
pub(crate) const TOKEN_VARIABLE: &str = "EEF_SCIENCEWORLD_WORKER";

/// The file in a worker's directory that it takes away when it begins: a token serves once.
pub(crate) const TOKEN_FILE: &str = "token";

/// No observation comes near it; what is longer is no message.
const MAX_MESSAGE: u32 = 64 << 20;

/// The first message of a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    pub(crate) token: String,
}

/// Which of a worker's simulators is meant.
pub(crate) type SeatId = u32;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) call: Call,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// Starts the JVM; the first call.
    Start { jar: String, max_heap_mib: u32 },
    /// Does something with a simulator, which is made at its first call.
    Seat { seat: SeatId, call: SeatCall },
}

/// What is asked of one simulator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SeatCall {
    /// Starts an episode: load, task description, `look around`.
    Load { task: String, variation: u32, simplification: String, gold: bool },
    /// Executes an action.
    Step { action: String },
    /// What the agent carries, without a move.
    Inventory,
    /// The subgoals and which are met.
    GoalProgress,
    /// Every valid action; changes the episode's later course.
    ValidActions,
    /// The actions that solve the task; they were generated if it was loaded so.
    GoldActions,
    /// The names of all tasks and how many variations each has.
    Tasks,
    /// The official splits of the task that is loaded.
    Splits,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Response {
    pub(crate) id: u64,
    pub(crate) answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Started {
        java: String,
    },
    Loaded {
        description: String,
        state: State,
    },
    Stepped(State),
    Text(String),
    Texts(Vec<String>),
    Tasks(Vec<(String, u32)>),
    Splits([Vec<u32>; 3]),
    /// It cannot be done, and doing it again would not help.
    Refused {
        message: String,
    },
    /// The worker is no longer sound.
    Broken {
        message: String,
    },
}

/// What the simulator shows after an action, or at the start after `look around`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The simulator's text.
    pub observation: String,
    /// Its score: 0 to 1, or below 0 where the task has failed for good.
    pub score: f64,
    /// Whether the task is completed.
    pub completed: bool,
    /// Moves so far, as the simulator counts them.
    pub moves: u32,
}

pub(crate) fn write_message(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).ok().filter(|length| *length <= MAX_MESSAGE);
    let length = length.ok_or_else(|| too_long(bytes.len() as u64))?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    to.write_all(&bytes)?;
    to.flush()
}

/// The next message; `None` where the other side has closed the pipe between two.
pub(crate) fn read_message<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    let n_read = from.read(&mut length)?;
    if n_read == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[n_read..])?;
    let length = u32::from_le_bytes(length);
    if length > MAX_MESSAGE {
        return Err(too_long(length.into()));
    }
    let mut bytes = Vec::new();
    // The buffer grows with what really arrives, so a false length costs no memory.
    from.take(length.into()).read_to_end(&mut bytes)?;
    if bytes.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

fn too_long(length: u64) -> io::Error {
    let message = format!("a message of {length} bytes: expected at most {MAX_MESSAGE}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello { protocol: 7, token: "with\nline and é".to_owned() }
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        write_message(&mut bytes, &hello()).unwrap();
        write_message(&mut bytes, &hello()).unwrap();
        let mut from = &bytes[..];
        for _ in 0..2 {
            let found: Hello = read_message(&mut from).unwrap().unwrap();
            assert_eq!((found.protocol, found.token), (7, hello().token));
        }
        assert!(read_message::<Hello>(&mut from).unwrap().is_none());
    }

    #[test]
    fn a_cut_message_is_an_error_wherever_it_is_cut() {
        let mut bytes = Vec::new();
        write_message(&mut bytes, &hello()).unwrap();
        for end in 1..bytes.len() {
            assert!(read_message::<Hello>(&mut &bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_false_length_is_refused_before_memory_is_taken() {
        let error = read_message::<Hello>(&mut &b"HTTP/1.1 200"[..]).unwrap_err();
        assert!(error.to_string().contains("expected at most"), "{error}");
        // Within the limit, and not there.
        let error = read_message::<Hello>(&mut &[0, 0, 0, 3, b'{'][..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
