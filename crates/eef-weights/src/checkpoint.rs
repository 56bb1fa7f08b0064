use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::header::{Header, TensorInfo};
use crate::map::FileMap;
use crate::{ElementType, NamedTensor, WeightsError};

pub(crate) const SINGLE: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// An opened model directory: its configuration's text and its tensors, mapped.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    config: String,
    files: Vec<WeightsFile>,
    /// Which file holds a tensor.
    index: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct WeightsFile {
    path: PathBuf,
    map: FileMap,
    header: Header,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Maps the weights of a directory and checks their headers.
    ///
    /// # Errors
    ///
    /// Where a file is missing, is cut short, or is not what its format says; where the index
    /// names a tensor that its shard does not hold.
    pub fn open(directory: &Path) -> Result<Self, WeightsError> {
        let config = read_text(&directory.join("config.json"))?;
        let single = directory.join(SINGLE);
        let index_path = directory.join(INDEX);
        let (files, index) = if single.exists() {
            let file = WeightsFile::open(single)?;
            let index = file.header.tensors.keys().map(|name| (name.clone(), 0)).collect();
            (vec![file], index)
        } else if index_path.exists() {
            open_shards(directory, &index_path)?
        } else if directory.is_dir() {
            return Err(WeightsError::NoWeights { directory: directory.to_owned() });
        } else {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            let path = directory.to_owned();
            return Err(WeightsError::Io { action: "open", path, source });
        };
        Ok(Self { directory: directory.to_owned(), config, files, index })
    }

    /// The directory that was opened.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The text of `config.json`.
    pub fn config_text(&self) -> &str {
        &self.config
    }

    /// Names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// A tensor's shape.
    ///
    /// # Errors
    ///
    /// Where there is none of this name.
    pub fn shape(&self, name: &str) -> Result<&[usize], WeightsError> {
        Ok(&self.find(name)?.1.shape)
    }

    /// A tensor's values as `f32`, in row-major order.
    ///
    /// # Errors
    ///
    /// Where there is none of this name, its shape is not `expected`, or it is stored as a type
    /// other than `F32`, `F16` and `BF16`.
    pub fn read(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let (file, info) = self.find(name)?;
        file.read(name, info, expected)
    }

    fn find(&self, name: &str) -> Result<(&WeightsFile, &TensorInfo), WeightsError> {
        let found = self.index.get(name).and_then(|at| {
            let file = &self.files[*at];
            Some((file, file.header.tensors.get(name)?))
        });
        found.ok_or_else(|| WeightsError::MissingTensor {
            path: match self.files.as_slice() {
                [only] => only.path.clone(),
                _ => self.directory.join(INDEX),
            },
            tensor: name.to_owned(),
        })
    }
}

/// Reads all tensors of one safetensors file, such as an adapter's, as `f32`, in the order of their
/// names.
///
/// # Errors
///
/// Where the file cannot be read, is cut short, or has a type that is not known here.
pub fn read_safetensors(path: &Path) -> Result<Vec<NamedTensor<'static>>, WeightsError> {
    let file = WeightsFile::open(path.to_owned())?;
    let tensors = file.header.tensors.iter();
    let read = tensors.map(|(name, info)| {
        let values = file.read(name, info, &info.shape)?;
        Ok(NamedTensor::new(name.clone(), info.shape.clone(), values))
    });
    read.collect()
}

impl WeightsFile {
    fn open(path: PathBuf) -> Result<Self, WeightsError> {
        let map = FileMap::open(&path)?;
        let header = Header::parse(&path, &map)?;
        Ok(Self { path, map, header })
    }

    /// The values of a tensor that must have a shape.
    fn read(
        &self,
        name: &str,
        info: &TensorInfo,
        expected: &[usize],
    ) -> Result<Vec<f32>, WeightsError> {
        let path = self.path.clone();
        if info.shape != expected {
            let (expected, found) = (expected.to_vec(), info.shape.clone());
            return Err(WeightsError::Shape { path, tensor: name.to_owned(), expected, found });
        }
        let Some(element_type) = ElementType::from_name(&info.element_type) else {
            let found = info.element_type.clone();
            return Err(WeightsError::ElementType { path, tensor: name.to_owned(), found });
        };
        let bytes = expected.iter().try_fold(element_type.size(), |n, side| n.checked_mul(*side));
        if bytes != Some(info.bytes.len()) {
            let found = info.bytes.len();
            let reason = format!("tensor {name} of shape {expected:?} has {found} bytes");
            return Err(WeightsError::Header { path, reason });
        }
        Ok(element_type.decode(&self.map[info.bytes.clone()]))
    }
}

fn open_shards(
    directory: &Path,
    index_path: &Path,
) -> Result<(Vec<WeightsFile>, BTreeMap<String, usize>), WeightsError> {
    let index: ShardIndex = serde_json::from_str(&read_text(index_path)?).map_err(|error| {
        WeightsError::Json { path: index_path.to_owned(), message: error.to_string() }
    })?;
    let mut files: Vec<WeightsFile> = Vec::new();
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    let mut tensors = BTreeMap::new();
    for (tensor, file_name) in index.weight_map {
        // A shard is a file beside its index: a path that leaves the directory is refused.
        if Path::new(&file_name).file_name() != Some(file_name.as_ref()) {
            let message = format!("weight_map sends {tensor} to {file_name:?}, not a file name");
            return Err(WeightsError::Json { path: index_path.to_owned(), message });
        }
        let at = if let Some(at) = positions.get(&file_name) {
            *at
        } else {
            files.push(WeightsFile::open(directory.join(&file_name))?);
            positions.insert(file_name, files.len() - 1);
            files.len() - 1
        };
        if !files[at].header.tensors.contains_key(&tensor) {
            return Err(WeightsError::MissingTensor { path: files[at].path.clone(), tensor });
        }
        tensors.insert(tensor, at);
    }
    Ok((files, tensors))
}

fn read_text(path: &Path) -> Result<String, WeightsError> {
    std::fs::read_to_string(path).map_err(|source| WeightsError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })
}
