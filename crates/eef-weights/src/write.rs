use std::borrow::Cow;
use std::path::Path;

use crate::{WeightsError, write_atomically};

/// A tensor to write: its name, shape, and `f32` values in row-major order.
#[derive(Clone, Debug)]
pub struct NamedTensor<'a> {
    name: Cow<'a, str>,
    shape: Vec<usize>,
    values: Cow<'a, [f32]>,
}

impl<'a> NamedTensor<'a> {
    /// Names a tensor; the values are borrowed or owned.
    pub fn new(
        name: impl Into<Cow<'a, str>>,
        shape: Vec<usize>,
        values: impl Into<Cow<'a, [f32]>>,
    ) -> Self {
        Self { name: name.into(), shape, values: values.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its values, in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Writes a model directory: `config.json` as given, and `model.safetensors` in `f32`.
///
/// Other files of the directory stay as they are. The same input gives the same bytes.
///
/// # Errors
///
/// Where a tensor's values do not match its shape, or the operating system refuses; the previous
/// weights are then still there.
pub fn write_checkpoint(
    directory: &Path,
    config: &str,
    tensors: &[NamedTensor<'_>],
) -> Result<(), WeightsError> {
    std::fs::create_dir_all(directory).map_err(|source| WeightsError::Io {
        action: "create",
        path: directory.to_owned(),
        source,
    })?;
    write_safetensors(&directory.join("model.safetensors"), tensors)?;
    write_atomically(&directory.join("config.json"), |file| file.write_all(config.as_bytes()))
}

/// Writes one safetensors file in `f32`, tensors in the order of their names.
///
/// # Errors
///
/// As [`write_checkpoint`].
pub fn write_safetensors(path: &Path, tensors: &[NamedTensor<'_>]) -> Result<(), WeightsError> {
    let mut sorted: Vec<&NamedTensor<'_>> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));

    // Hugging Face's loader wants the framework that wrote the file; "pt" means row-major tensors.
    let mut header = String::from(r#"{"__metadata__":{"format":"pt"}"#);
    let mut position = 0;
    for tensor in &sorted {
        let found = tensor.values.len();
        if tensor.shape.iter().product::<usize>() != found {
            let (tensor, shape) = (tensor.name.to_string(), tensor.shape.clone());
            return Err(WeightsError::ValueCount { tensor, shape, found });
        }
        let name = serde_json::Value::from(tensor.name.as_ref());
        let (shape, end) = (&tensor.shape, position + 4 * found);
        let (shape, offsets) = (format!("{shape:?}"), format!("{:?}", [position, end]));
        header.extend([",", &name.to_string(), r#":{"dtype":"F32","shape":"#, &shape]);
        header.extend([r#","data_offsets":"#, &offsets, "}"]);
        position = end;
    }
    header.push('}');
    // Data starts at a multiple of 8 bytes: the format asks for padding with spaces.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }

    write_atomically(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for tensor in sorted {
            for value in &*tensor.values {
                file.write_all(&value.to_le_bytes())?;
            }
        }
        Ok(())
    })
}
