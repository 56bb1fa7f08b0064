//! Reads TensorBoard's event files, independently of what writes them: checksums bit by bit, fields
//! by number.
#![allow(clippy::unwrap_used, reason = "a file that cannot be read is a failure of the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What a test wants to know of an event.
#[derive(Debug, PartialEq)]
pub enum Read {
    Version(String),
    Start { step: u64 },
    Scalars { step: u64, wall_time: f64, values: BTreeMap<String, f32> },
}

/// Every event of a file; panics where a record is not whole, or a checksum wrong.
pub fn read_events(path: &Path) -> Vec<Read> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_at(8);
        let (length_checksum, after) = after.split_at(4);
        assert_eq!(masked(crc32c(length)).to_le_bytes(), length_checksum, "of a length");
        let (data, after) = after.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let (data_checksum, after) = after.split_at(4);
        assert_eq!(masked(crc32c(data)).to_le_bytes(), data_checksum, "of a record");
        events.push(event(data));
        rest = after;
    }
    events
}

/// The scalars that TensorBoard shows of a directory: files in the order of their names, and the
/// start of a session drops what was said of its step and later ones.
pub fn shown(directory: &Path) -> Vec<(u64, BTreeMap<String, f32>)> {
    let mut files: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut shown = Vec::new();
    for event in files.iter().flat_map(|path| read_events(path)) {
        match event {
            Read::Version(version) => assert_eq!(version, "brain.Event:2"),
            Read::Start { step } => shown.retain(|(said, _)| *said < step),
            Read::Scalars { step, values, .. } => shown.push((step, values)),
        }
    }
    shown
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A field's value: its bits where it is a number, its bytes otherwise.
#[derive(Clone, Copy)]
enum Field<'a> {
    Bits(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bits(self) -> u64 {
        let Self::Bits(bits) = self else { panic!("bytes for a number") };
        bits
    }

    fn bytes(self) -> &'a [u8] {
        let Self::Bytes(bytes) = self else { panic!("a number for bytes") };
        bytes
    }

    fn text(self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

fn fields(mut rest: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let field = match key & 7 {
            0 => Field::Bits(varint(&mut rest)),
            1 => Field::Bits(u64::from_le_bytes(take(&mut rest, 8).try_into().unwrap())),
            2 => {
                let length = varint(&mut rest) as usize;
                Field::Bytes(take(&mut rest, length))
            }
            5 => Field::Bits(u32::from_le_bytes(take(&mut rest, 4).try_into().unwrap()).into()),
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, field));
    }
    found
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(n);
    *rest = after;
    taken
}

fn event(data: &[u8]) -> Read {
    let fields = fields(data);
    let get = |number| fields.iter().find(|(found, _)| *found == number).map(|(_, field)| *field);
    let step = get(2).map_or(0, Field::bits);
    let wall_time = f64::from_bits(get(1).unwrap().bits());
    match (get(3), get(5), get(7)) {
        (Some(version), None, None) => Read::Version(version.text()),
        (None, Some(summary), None) => Read::Scalars { step, wall_time, values: values(summary) },
        (None, None, Some(session)) => {
            assert!(matches!(self::fields(session.bytes())[..], [(1, Field::Bits(1))]));
            Read::Start { step }
        }
        _ => panic!("an event says one thing"),
    }
}

fn values(summary: Field<'_>) -> BTreeMap<String, f32> {
    let value = |(number, field): (u64, Field<'_>)| {
        assert_eq!(number, 1);
        let [(1, tag), (2, scalar)] = fields(field.bytes())[..] else { panic!("tag and scalar") };
        (tag.text(), f32::from_bits(scalar.bits() as u32))
    };
    fields(summary.bytes()).into_iter().map(value).collect()
}
