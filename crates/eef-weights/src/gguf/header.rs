//! The part of a GGUF file that says what it holds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::blocks::GgufType;
use super::value::{GgufList, GgufValue};
use crate::WeightsError;

/// Lists of lists are not used by anybody; deeper ones could exhaust the stack.
const MAX_DEPTH: usize = 4;
/// ggml's own limit.
const MAX_DIMENSIONS: u32 = 4;
/// More than ten times what the largest models have: a header of empty entries must not take many
/// times its own size in memory.
const MAX_ENTRIES: u64 = 8_192;
/// The code of a text.
const TEXT: u32 = 8;

#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, GgufValue>,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
}

#[derive(Debug)]
pub(super) struct TensorInfo {
    /// Rows first, as everywhere else; the file has them the other way round.
    pub(super) shape: Vec<usize>,
    pub(super) kind: GgufType,
    /// Where it lies within the file.
    pub(super) bytes: Range<usize>,
}

/// A tensor as the header has it, before its place is known.
struct Entry {
    name: String,
    shape: Vec<usize>,
    code: u32,
    offset: u64,
}

impl Header {
    pub(super) fn parse(path: &Path, file: &[u8]) -> Result<Self, WeightsError> {
        let mut reader = Reader { path, file, position: 0 };
        if reader.take(4)? != b"GGUF" {
            return Err(reader.refuse("it does not begin with GGUF".to_owned()));
        }
        let version = reader.u32()?;
        if !(2..=3).contains(&version) {
            let reason = if version.swap_bytes() <= 3 {
                "it is big-endian; little-endian files can be read".to_owned()
            } else {
                format!("it is of version {version}; versions 2 and 3 can be read")
            };
            return Err(reader.refuse(reason));
        }
        let (n_tensors, n_values) = (reader.u64()?, reader.u64()?);
        if n_tensors.max(n_values) > MAX_ENTRIES {
            let reason = format!(
                "it claims {n_tensors} tensors and {n_values} values, more than {MAX_ENTRIES}"
            );
            return Err(reader.refuse(reason));
        }
        let mut metadata = BTreeMap::new();
        for _ in 0..n_values {
            let key = reader.text()?;
            let kind = reader.u32()?;
            let value = reader.value(kind, 0)?;
            metadata.insert(key, value);
        }
        let mut entries = Vec::new();
        for _ in 0..n_tensors {
            entries.push(reader.entry()?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(value) => value
                .as_count()
                .filter(|n| n.is_power_of_two())
                .ok_or_else(|| reader.refuse("general.alignment is no power of two".to_owned()))?,
        };
        let start = reader.position.checked_next_multiple_of(alignment);
        let start = start.filter(|start| *start <= file.len() || entries.is_empty());
        let start = start.ok_or_else(|| reader.refuse("it ends within its header".to_owned()))?;
        let mut tensors = BTreeMap::new();
        for entry in entries {
            let (name, info) = entry.locate(&reader, start)?;
            if tensors.insert(name.clone(), info).is_some() {
                return Err(reader.refuse(format!("tensor {name} is there twice")));
            }
        }
        Ok(Self { metadata, tensors })
    }
}

impl Entry {
    fn locate(
        self,
        reader: &Reader<'_>,
        start: usize,
    ) -> Result<(String, TensorInfo), WeightsError> {
        let Self { name, shape, code, offset } = self;
        let Some(kind) = GgufType::from_code(code) else {
            return Err(WeightsError::GgufType {
                path: reader.path.to_owned(),
                tensor: name,
                code,
            });
        };
        let (n_numbers, n_bytes) = kind.block();
        let row = shape.last().copied().unwrap_or(1);
        if !row.is_multiple_of(n_numbers) {
            let reason = format!("tensor {name} has rows of {row} numbers, not of whole blocks");
            return Err(reader.refuse(reason));
        }
        let n_blocks = shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
        let n_bytes = n_blocks.and_then(|n| (n / n_numbers).checked_mul(n_bytes));
        let first = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(start));
        let range = first.zip(n_bytes).and_then(|(a, n)| Some(a..a.checked_add(n)?));
        match range {
            Some(bytes) if bytes.end <= reader.file.len() => {
                Ok((name, TensorInfo { shape, kind, bytes }))
            }
            range => Err(WeightsError::Truncated {
                path: reader.path.to_owned(),
                tensor: name,
                expected: range.map_or(usize::MAX, |range| range.end - start),
                found: reader.file.len().saturating_sub(start),
            }),
        }
    }
}

/// Bytes of a value, where all of its kind have as many.
fn width(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// A text of a list passed over before.
pub(super) fn texts<'a>(file: &'a [u8], list: &GgufList) -> Option<Vec<&'a str>> {
    let mut rest = file.get(list.bytes.clone()).filter(|_| list.kind == TEXT)?;
    let mut texts = Vec::new();
    for _ in 0..list.n_values {
        let (length, behind) = rest.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (text, behind) = behind.split_at_checked(length)?;
        texts.push(std::str::from_utf8(text).ok()?);
        rest = behind;
    }
    Some(texts)
}

/// The numbers of a list, whatever their width.
#[expect(clippy::cast_lossless, reason = "one line for all widths; the widest may round")]
pub(super) fn numbers(file: &[u8], list: &GgufList) -> Option<Vec<f64>> {
    let bytes = file.get(list.bytes.clone())?;
    macro_rules! all {
        ($type:ty) => {
            bytes
                .as_chunks::<{ size_of::<$type>() }>()
                .0
                .iter()
                .map(|bytes| <$type>::from_le_bytes(*bytes) as f64)
                .collect()
        };
    }
    Some(match list.kind {
        0 => all!(u8),
        1 => all!(i8),
        2 => all!(u16),
        3 => all!(i16),
        4 => all!(u32),
        5 => all!(i32),
        6 => all!(f32),
        10 => all!(u64),
        11 => all!(i64),
        12 => all!(f64),
        _ => return None,
    })
}

struct Reader<'a> {
    path: &'a Path,
    file: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn refuse(&self, reason: String) -> WeightsError {
        WeightsError::Gguf { path: self.path.to_owned(), reason }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], WeightsError> {
        let rest = &self.file[self.position..];
        let Some((bytes, _)) = rest.split_at_checked(n) else {
            let at = self.position;
            return Err(self.refuse(format!(
                "its header breaks off: at byte {at} {n} more are needed and {} are there; fetch it \
                 again",
                rest.len()
            )));
        };
        self.position += n;
        Ok(bytes)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], WeightsError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, WeightsError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, WeightsError> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, WeightsError> {
        let n = self.u64()?;
        let at = self.position;
        // A length beyond the file is found by `take`, before anything is allocated.
        let bytes = self.take(usize::try_from(n).unwrap_or(usize::MAX))?;
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned).map_err(|_| self.refuse(format!("text at byte {at} is no UTF-8")))
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<GgufValue, WeightsError> {
        macro_rules! integer {
            ($type:ty) => {
                GgufValue::Integer(<$type>::from_le_bytes(self.bytes()?).into())
            };
        }
        Ok(match kind {
            0 => integer!(u8),
            1 => integer!(i8),
            2 => integer!(u16),
            3 => integer!(i16),
            4 => integer!(u32),
            5 => integer!(i32),
            10 => integer!(u64),
            11 => integer!(i64),
            6 => GgufValue::Float(f32::from_le_bytes(self.bytes()?).into()),
            12 => GgufValue::Float(f64::from_le_bytes(self.bytes()?)),
            7 => GgufValue::Bool(self.bytes::<1>()?[0] != 0),
            TEXT => GgufValue::Text(self.text()?),
            9 if depth < MAX_DEPTH => GgufValue::List(self.list(depth)?),
            9 => return Err(self.refuse("it has lists in lists in lists".to_owned())),
            other => {
                let at = self.position;
                return Err(self.refuse(format!("byte {at}: {other} is no kind of value")));
            }
        })
    }

    /// Passes over a list's values.
    fn list(&mut self, depth: usize) -> Result<GgufList, WeightsError> {
        let (kind, n_values) = (self.u32()?, self.u64()?);
        let n_values = usize::try_from(n_values).unwrap_or(usize::MAX);
        let start = self.position;
        match width(kind) {
            Some(width) => {
                self.take(n_values.saturating_mul(width))?;
            }
            None => {
                for _ in 0..n_values {
                    self.value(kind, depth + 1)?;
                }
            }
        }
        Ok(GgufList { kind, n_values, bytes: start..self.position })
    }

    fn entry(&mut self) -> Result<Entry, WeightsError> {
        let name = self.text()?;
        let n_dimensions = self.u32()?;
        if n_dimensions > MAX_DIMENSIONS {
            return Err(self.refuse(format!("tensor {name} has {n_dimensions} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..n_dimensions {
            let side = self.u64()?;
            let side = usize::try_from(side).ok().filter(|side| *side > 0);
            let reason = || format!("tensor {name} has an impossible shape");
            shape.push(side.ok_or_else(|| self.refuse(reason()))?);
        }
        shape.reverse();
        let (code, offset) = (self.u32()?, self.u64()?);
        Ok(Entry { name, shape, code, offset })
    }
}
