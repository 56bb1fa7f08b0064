use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use crate::{ElementType, WeightsError, write_atomically};

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
    create_directory(directory)?;
    write_safetensors(&directory.join("model.safetensors"), tensors)?;
    write_atomically(&directory.join("config.json"), |file| file.write_all(config.as_bytes()))
}

pub(crate) fn create_directory(directory: &Path) -> Result<(), WeightsError> {
    std::fs::create_dir_all(directory).map_err(|source| WeightsError::Io {
        action: "create",
        path: directory.to_owned(),
        source,
    })
}

/// Writes one safetensors file in `f32`, tensors in the order of their names.
///
/// # Errors
///
/// As [`write_checkpoint`].
pub fn write_safetensors(path: &Path, tensors: &[NamedTensor<'_>]) -> Result<(), WeightsError> {
    let mut sorted: Vec<&NamedTensor<'_>> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let shapes: Vec<_> = sorted.iter().map(|tensor| (tensor.name(), tensor.shape())).collect();
    write_file(path, &shapes, ElementType::F32, &mut |place| {
        Ok(Cow::Borrowed(sorted[place].values()))
    })
}

/// Writes one safetensors file: tensors by name, in this order, and shape, whose values are asked for
/// one by one.
pub(crate) fn write_file<'a>(
    path: &Path,
    tensors: &[(&str, &[usize])],
    element_type: ElementType,
    values: &mut dyn FnMut(usize) -> Result<Cow<'a, [f32]>, WeightsError>,
) -> Result<(), WeightsError> {
    let refuse = |tensor: &str, reason| {
        let (path, tensor) = (path.to_owned(), tensor.to_owned());
        Err(WeightsError::CannotWrite { path, tensor, reason })
    };
    for (place, (name, _)) in tensors.iter().enumerate() {
        if *name == "__metadata__" {
            return refuse(name, "the format keeps this name for itself");
        }
        if place > 0 && tensors[place - 1].0 == *name {
            return refuse(name, "it is there twice");
        }
    }
    // Hugging Face's loader wants the framework that wrote the file; "pt" means row-major tensors.
    let mut header = String::from(r#"{"__metadata__":{"format":"pt"}"#);
    let mut position = 0usize;
    for (name, shape) in tensors {
        let sides = shape.iter().try_fold(element_type.size(), |n, side| n.checked_mul(*side));
        let Some(end) = sides.and_then(|n| position.checked_add(n)) else {
            return refuse(name, "its shape has more bytes than an address space");
        };
        let name = serde_json::Value::from(*name).to_string();
        let (shape, offsets) = (format!("{shape:?}"), format!("{:?}", [position, end]));
        header.extend([",", &name, r#":{"dtype":""#, element_type.name(), r#"","shape":"#, &shape]);
        header.extend([r#","data_offsets":"#, &offsets, "}"]);
        position = end;
    }
    header.push('}');
    // Data starts at a multiple of 8 bytes: the format asks for padding with spaces.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }

    // A tensor that cannot be given is no failure of the file's.
    let mut refused = None;
    let written = write_atomically(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for (place, (name, shape)) in tensors.iter().enumerate() {
            let given = values(place).and_then(|given| match given.len() {
                found if found == shape.iter().product::<usize>() => Ok(given),
                found => {
                    let (tensor, shape) = ((*name).to_owned(), shape.to_vec());
                    Err(WeightsError::ValueCount { tensor, shape, found })
                }
            });
            match given {
                Ok(given) => encode(&given, element_type, file)?,
                Err(error) => {
                    refused = Some(error);
                    return Err(std::io::Error::other("a tensor cannot be written"));
                }
            }
        }
        Ok(())
    });
    refused.map_or(written, Err)
}

/// Rounds to the nearest number of the type, to the even one of two that are as near.
fn encode(values: &[f32], element_type: ElementType, out: &mut dyn Write) -> std::io::Result<()> {
    for value in values {
        match element_type {
            ElementType::F32 => out.write_all(&value.to_le_bytes())?,
            ElementType::F16 => out.write_all(&half::f16::from_f32(*value).to_le_bytes())?,
            ElementType::BF16 => out.write_all(&half::bf16::from_f32(*value).to_le_bytes())?,
        }
    }
    Ok(())
}
