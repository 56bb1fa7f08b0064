use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

use crate::WeightsError;

/// Where each tensor of a safetensors file lies; every range is inside the file.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) tensors: BTreeMap<String, TensorInfo>,
}

/// One tensor of a header.
#[derive(Debug)]
pub(crate) struct TensorInfo {
    pub(crate) element_type: String,
    pub(crate) shape: Vec<usize>,
    /// Byte range within the file.
    pub(crate) bytes: Range<usize>,
}

/// No header may ask for more: real ones have some hundred bytes for each of some hundred tensors.
const MOST_HEADER_BYTES: usize = 16 << 20;
/// No header may list more tensors: an entry of a few bytes takes ten times as many in memory.
const MOST_TENSORS: usize = 1 << 16;

/// The entries by name, each name once.
struct Entries(BTreeMap<String, Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> serde::de::Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an object of tensors by name")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((name, entry)) = map.next_entry::<String, Entry>()? {
            if entries.len() == MOST_TENSORS {
                return Err(serde::de::Error::custom("more tensors than any model has"));
            }
            if entries.contains_key(&name) {
                return Err(serde::de::Error::custom(format!("tensor {name} is there twice")));
            }
            entries.insert(name, entry);
        }
        Ok(Entries(entries))
    }
}

/// An entry as it is written; `__metadata__` has none of these fields.
#[derive(Deserialize)]
struct Entry {
    dtype: Option<String>,
    shape: Option<Vec<usize>>,
    data_offsets: Option<[usize; 2]>,
}

impl Header {
    /// Reads and checks the header of a file's bytes.
    pub(crate) fn parse(path: &Path, file: &[u8]) -> Result<Self, WeightsError> {
        let fail = |reason: String| WeightsError::Header { path: path.to_owned(), reason };
        if file.starts_with(b"version https://git-lfs") {
            return Err(fail("it is a pointer of Git LFS: run `git lfs pull`".to_owned()));
        }
        let (length, rest) = file
            .split_first_chunk::<8>()
            .ok_or_else(|| fail(format!("it has {} bytes, fewer than a header's 8", file.len())))?;
        let length = u64::from_le_bytes(*length);
        let length =
            usize::try_from(length).ok().filter(|n| *n <= rest.len()).ok_or_else(|| {
                fail(format!("its header says {length} bytes, {} follow: truncated?", rest.len()))
            })?;
        if length > MOST_HEADER_BYTES {
            return Err(fail(format!("its header has {length} bytes, more than any model's")));
        }
        let (text, data) = rest.split_at(length);
        let items: Entries = serde_json::from_slice(text)
            .map_err(|error| fail(format!("its header does not parse: {error}")))?;

        let mut tensors = BTreeMap::new();
        let mut ranges = Vec::new();
        for (name, entry) in items.0 {
            if name == "__metadata__" {
                continue;
            }
            let Entry { dtype: Some(element_type), shape: Some(shape), data_offsets } = entry
            else {
                return Err(fail(format!("tensor {name} lacks dtype or shape")));
            };
            let [start, end] =
                data_offsets.ok_or_else(|| fail(format!("tensor {name} lacks data_offsets")))?;
            if start > end {
                return Err(fail(format!(
                    "tensor {name} ends at {end} before it starts at {start}"
                )));
            }
            if end > data.len() {
                return Err(WeightsError::Truncated {
                    path: path.to_owned(),
                    tensor: name,
                    expected: end,
                    found: data.len(),
                });
            }
            ranges.push((start, end, name.clone()));
            let offset = 8 + length;
            let bytes = offset + start..offset + end;
            let info = TensorInfo { element_type, shape, bytes };
            tensors.insert(name, info);
        }

        ranges.sort();
        let mut position = 0;
        for (start, end, name) in ranges {
            if start != position {
                let reason = format!("tensor {name} starts at {start}, expected {position}");
                return Err(fail(reason));
            }
            position = end;
        }
        if position != data.len() {
            let extra = data.len() - position;
            return Err(fail(format!("{extra} bytes follow the last tensor")));
        }
        Ok(Self { tensors })
    }
}
