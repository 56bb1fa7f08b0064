//! Event files: protobuf messages in TensorFlow's record framing.
//!
//! The four messages are encoded by hand: five kinds of fields need no code generator. Names and
//! numbers are those of `event.proto` and `summary.proto`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How the names of event files begin; TensorBoard opens what holds `tfevents`.
const PREFIX: &str = "events.out.tfevents.";

/// What every event file says of itself first.
const VERSION: &str = "brain.Event:2";

/// What an event says.
#[derive(Clone, Copy, Debug)]
pub(super) enum What<'a> {
    /// The format of the file.
    Version,
    /// A session starts: whatever was said of this step and later ones is void.
    Start,
    /// Values under their tags.
    Scalars(&'a [(&'a str, f64)]),
}

/// One message of an event file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// The step, counted from 1.
    pub step: u64,
    pub what: What<'a>,
}

/// An event file that is being written. It holds whole records at any time but during a write.
#[derive(Debug)]
pub(super) struct EventFile {
    file: File,
    /// The length of all whole records.
    n_bytes: u64,
}

impl EventFile {
    /// Begins a file that comes after all others of the directory, with a session that starts at a
    /// step; leaves no file behind where that fails.
    ///
    /// # Errors
    /// Where the directory cannot be made or read, or the file not be written.
    pub fn create(directory: &Path, wall_time: f64, first_step: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let path = next_path(directory, wall_time as u64)?;
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        let mut events = Self { file, n_bytes: 0 };
        let begun = events
            .append(Event { wall_time, step: 0, what: What::Version })
            .and_then(|()| events.append(Event { wall_time, step: first_step, what: What::Start }));
        if begun.is_err() {
            // The write's error is the one to tell.
            let _ = fs::remove_file(&path);
        }
        begun.map(|()| events)
    }

    /// Adds an event.
    ///
    /// # Errors
    /// Where the file cannot be written; the next event may still be, since half a record is cut
    /// off before it.
    pub fn append(&mut self, event: Event<'_>) -> io::Result<()> {
        let record = framed(&event.encoded());
        // Readers stop for good at half a record, which a full disk may have left.
        if self.file.metadata()?.len() > self.n_bytes {
            self.file.set_len(self.n_bytes)?;
        }
        self.file.write_all(&record)?;
        self.n_bytes += record.len() as u64;
        Ok(())
    }
}

/// A name for a new file. TensorBoard reads the files of a directory in the order of their names,
/// so a later one must have a greater number, also where it is begun within the same second.
fn next_path(directory: &Path, seconds: u64) -> io::Result<PathBuf> {
    let mut number = seconds;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).unwrap_or_default();
        let digits = rest.split('.').next().unwrap_or_default();
        if let Some(next) = digits.parse().ok().and_then(|found: u64| found.checked_add(1)) {
            number = number.max(next);
        }
    }
    Ok(directory.join(format!("{PREFIX}{number:010}.eef")))
}

/// TensorFlow's record: length, its checksum, the data, their checksum.
fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_checksum(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_checksum(data).to_le_bytes());
    record
}

/// CRC32C, turned and shifted as TensorFlow does, since records may hold records.
fn masked_checksum(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

impl Event<'_> {
    /// An `Event` message.
    fn encoded(self) -> Vec<u8> {
        let mut message = Message::default();
        message.double(1, self.wall_time);
        message.varint(2, self.step);
        match self.what {
            What::Version => message.bytes(3, VERSION.as_bytes()),
            What::Start => {
                let mut session = Message::default();
                session.varint(1, 1); // status: START
                message.bytes(7, &session.0);
            }
            What::Scalars(scalars) => {
                let mut summary = Message::default();
                for (tag, scalar) in scalars {
                    let mut value = Message::default();
                    value.bytes(1, tag.as_bytes());
                    value.float(2, *scalar as f32);
                    summary.bytes(1, &value.0);
                }
                message.bytes(5, &summary.0);
            }
        }
        message.0
    }
}

/// A protobuf message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.number(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.number(value.len() as u64);
        self.0.extend(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.number(field << 3 | wire_type);
    }

    /// Seven bits to the byte, the lowest first; the eighth says that more follow.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn checksums_are_castagnolis() {
        // The check value that catalogues of checksums give for CRC-32C.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked_checksum(b"123456789"), 0xc78a_b0e5);
    }

    #[test]
    fn numbers_are_in_groups_of_seven_bits() {
        let mut message = Message::default();
        message.varint(2, 300);
        message.bytes(3, b"ab");
        assert_eq!(message.0, [0x10, 0xac, 0x02, 0x1a, 2, b'a', b'b']);
    }

    #[test]
    fn files_begun_within_one_second_have_names_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            EventFile::create(folder.path(), 99.5, 1).unwrap();
        }
        let expected = ["0000000099", "0000000100", "0000000101"];
        assert_eq!(names(folder.path()), expected.map(|number| format!("{PREFIX}{number}.eef")));
        // A clock that went back does not put a file before the others.
        EventFile::create(folder.path(), 7.0, 1).unwrap();
        assert_eq!(names(folder.path()).last().unwrap(), "events.out.tfevents.0000000102.eef");
    }

    #[test]
    fn half_a_record_is_cut_off_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let event = |step| Event { wall_time: 1.0, step, what: What::Scalars(&[("a", 1.0)]) };
        let mut whole = EventFile::create(&folder.path().join("whole"), 1.0, 1).unwrap();
        let mut torn = EventFile::create(&folder.path().join("torn"), 1.0, 1).unwrap();
        for step in 1..=2 {
            whole.append(event(step)).unwrap();
            torn.append(event(step)).unwrap();
            torn.file.write_all(&framed(&event(9).encoded())[..5]).unwrap();
        }
        torn.append(event(3)).unwrap();
        whole.append(event(3)).unwrap();
        let bytes = |name: &str| {
            let directory = folder.path().join(name);
            fs::read(directory.join(&names(&directory)[0])).unwrap()
        };
        assert!(bytes("whole") == bytes("torn"));
    }
}
