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
        let (length, rest) = file
            .split_first_chunk::<8>()
            .ok_or_else(|| fail(format!("it has {} bytes, fewer than a header's 8", file.len())))?;
        let length = u64::from_le_bytes(*length);
        let length =
            usize::try_from(length).ok().filter(|n| *n <= rest.len()).ok_or_else(|| {
                fail(format!("its header says {length} bytes, {} follow: truncated?", rest.len()))
            })?;
        let (text, data) = rest.split_at(length);
        let items: BTreeMap<String, Entry> = serde_json::from_slice(text)
            .map_err(|error| fail(format!("its header does not parse: {error}")))?;

        let mut tensors = BTreeMap::new();
        let mut ranges = Vec::new();
        for (name, entry) in items {
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
