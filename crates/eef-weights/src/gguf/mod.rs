//! GGUF files: llama.cpp's models, weights, tokenizer and chat template in one file.

mod blocks;
mod convert;
mod header;
mod names;
mod tokenizer;
mod value;

use std::path::{Path, PathBuf};

pub use blocks::GgufType;
pub use convert::Converted;
pub use value::{GgufList, GgufValue};

use crate::WeightsError;
use crate::map::FileMap;
use header::{Header, TensorInfo};

/// An opened GGUF file: versions 2 and 3, little-endian.
///
/// Tensors of [`GgufType`] are read as `f32`; the file is mapped, and each tensor is decoded when
/// it is asked for.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    map: FileMap,
    header: Header,
}

impl Gguf {
    /// Maps a file and checks its header against its length.
    ///
    /// # Errors
    ///
    /// Where it is missing, is cut short, or is not what the format says.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let map = FileMap::open(path)?;
        let header = Header::parse(path, &map)?;
        Ok(Self { path: path.to_owned(), map, header })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says of itself under a key such as `general.architecture`.
    pub fn metadata(&self, key: &str) -> Option<&GgufValue> {
        self.header.metadata.get(key)
    }

    /// The keys of its metadata, in order.
    pub fn metadata_keys(&self) -> impl Iterator<Item = &str> {
        self.header.metadata.keys().map(String::as_str)
    }

    /// A list of texts under a key; nothing where there is none.
    pub fn texts(&self, key: &str) -> Option<Vec<&str>> {
        match self.metadata(key)? {
            GgufValue::List(list) => header::texts(&self.map, list),
            _ => None,
        }
    }

    /// A list of numbers under a key; nothing where there is none.
    pub fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        match self.metadata(key)? {
            GgufValue::List(list) => header::numbers(&self.map, list),
            _ => None,
        }
    }

    /// The names of its tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.header.tensors.keys().map(String::as_str)
    }

    /// A tensor's shape, rows first, and how it is stored.
    ///
    /// # Errors
    ///
    /// Where there is none of this name.
    pub fn tensor(&self, name: &str) -> Result<(&[usize], GgufType), WeightsError> {
        let info = self.find(name)?;
        Ok((&info.shape, info.kind))
    }

    /// A tensor's values, in row-major order.
    ///
    /// # Errors
    ///
    /// Where there is none of this name.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let info = self.find(name)?;
        Ok(info.kind.decode(&self.map[info.bytes.clone()]))
    }

    fn find(&self, name: &str) -> Result<&TensorInfo, WeightsError> {
        self.header.tensors.get(name).ok_or_else(|| WeightsError::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
        })
    }

    fn refuse(&self, reason: String) -> WeightsError {
        WeightsError::Gguf { path: self.path.clone(), reason }
    }
}
