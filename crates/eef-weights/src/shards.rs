//! Model directories in one file or several, written one tensor at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::checkpoint::{INDEX, SINGLE};
use crate::write::{create_directory, write_file};
use crate::{ElementType, WeightsError, write_atomically};

/// How a model directory is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// What numbers are stored as.
    pub element_type: ElementType,
    /// A file holds no more bytes of tensors than this, unless one tensor has more. The default is
    /// 5 GB, which was that of transformers for long.
    pub max_shard_bytes: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { element_type: ElementType::F32, max_shard_bytes: 5_000_000_000 }
    }
}

/// Writes a model directory: `config.json` as given, and the tensors in `model.safetensors` or, where
/// they do not fit in one, in shards with `model.safetensors.index.json`.
///
/// Each tensor's values are asked for by name, once, and forgotten when they are written: memory is
/// that of the largest tensor. The same input gives the same bytes. Weights of an earlier writing
/// that would be read in place of these are removed; other files stay as they are. Where several
/// files are written over several and the work is cut off, no index is left: such a directory is
/// refused when it is opened, and has to be written again.
///
/// # Errors
///
/// Those of `values`; where it gives another number of values than the shape says, or the operating
/// system refuses.
pub fn write_shards(
    directory: &Path,
    config: &str,
    tensors: &[(String, Vec<usize>)],
    options: WriteOptions,
    values: &mut dyn FnMut(&str) -> Result<Vec<f32>, WeightsError>,
) -> Result<Vec<String>, WeightsError> {
    create_directory(directory)?;
    let mut sorted: Vec<(&str, &[usize])> =
        tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    sorted.sort_unstable();
    let shards = shards(&sorted, options);
    let names: Vec<String> = match shards.len() {
        0 | 1 => vec![SINGLE.to_owned()],
        n => (1..=n).map(|i| format!("model-{i:05}-of-{n:05}.safetensors")).collect(),
    };
    // Shards are replaced one by one, and an index would make a model of new and old ones.
    if names.len() > 1 && directory.join(INDEX).exists() {
        remove(&directory.join(INDEX))?;
    }
    let (mut weight_map, mut total) = (BTreeMap::new(), 0u64);
    for (file, shard) in names.iter().zip(&shards) {
        let element_type = options.element_type;
        write_file(&directory.join(file), shard, element_type, &mut |place| {
            values(shard[place].0).map(Cow::Owned)
        })?;
        for (name, shape) in *shard {
            weight_map.insert(*name, file.as_str());
            total = total.saturating_add(n_bytes(shape, options));
        }
    }
    if names.len() == 1 {
        remove(&directory.join(INDEX))?;
    } else {
        let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
        let index = format!("{index:#}\n");
        // The file that is read in place of shards goes before their index comes.
        remove(&directory.join(SINGLE))?;
        write_atomically(&directory.join(INDEX), |file| file.write_all(index.as_bytes()))?;
    }
    write_atomically(&directory.join("config.json"), |file| file.write_all(config.as_bytes()))?;
    Ok(names)
}

/// Cuts tensors into runs that fit into files.
fn shards<'a, 'b>(
    tensors: &'b [(&'a str, &'a [usize])],
    options: WriteOptions,
) -> Vec<&'b [(&'a str, &'a [usize])]> {
    let (mut shards, mut start, mut filled) = (Vec::new(), 0, 0);
    for (place, (_, shape)) in tensors.iter().enumerate() {
        let n = n_bytes(shape, options);
        if place > start && n > options.max_shard_bytes.saturating_sub(filled) {
            shards.push(&tensors[start..place]);
            (start, filled) = (place, 0);
        }
        filled = filled.saturating_add(n);
    }
    shards.push(&tensors[start..]);
    shards
}

fn n_bytes(shape: &[usize], options: WriteOptions) -> u64 {
    let size = options.element_type.size() as u64;
    shape.iter().fold(size, |n, side| n.saturating_mul(*side as u64))
}

fn remove(path: &Path) -> Result<(), WeightsError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(WeightsError::Io { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Checkpoint;

    fn tensors() -> Vec<(String, Vec<usize>)> {
        let names = ["c", "a", "b"].map(str::to_owned);
        names.into_iter().zip([vec![2, 3], vec![4], vec![1, 2]]).collect()
    }

    fn values(name: &str) -> Vec<f32> {
        match name {
            "a" => vec![1.0, -2.5, 1e-3, 1.003_906_3],
            "b" => vec![0.0, 3.0],
            _ => vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        }
    }

    fn write(directory: &Path, element_type: ElementType, max_shard_bytes: u64) -> Vec<String> {
        let options = WriteOptions { element_type, max_shard_bytes };
        write_shards(directory, "{}", &tensors(), options, &mut |name| Ok(values(name))).unwrap()
    }

    #[test]
    fn one_file_or_several_read_back_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let read = || {
            let checkpoint = Checkpoint::open(directory.path()).unwrap();
            tensors().iter().flat_map(|(n, s)| checkpoint.read(n, s).unwrap()).collect::<Vec<_>>()
        };
        let expected: Vec<f32> = tensors().iter().flat_map(|(n, _)| values(n)).collect();
        for (max_shard_bytes, n_files) in [(1_000, 1), (24, 2), (1, 3), (1_000, 1)] {
            let files = write(directory.path(), ElementType::F32, max_shard_bytes);
            assert_eq!(files.len(), n_files);
            assert_eq!(read(), expected, "{max_shard_bytes}");
        }
        write(directory.path(), ElementType::BF16, 12);
        let rounded = read();
        assert!(rounded.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= b.abs() / 256.0));
        // Half way between two numbers of the type, the even one is taken.
        assert_eq!(rounded[6 + 3], 1.0);
        write(directory.path(), ElementType::F16, 1_000);
        assert!(read().iter().zip(&expected).all(|(a, b)| (a - b).abs() <= b.abs() / 2048.0));
    }

    #[test]
    fn shards_of_two_models_are_never_one_model() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(write(directory.path(), ElementType::F32, 1).len(), 3);
        let mut n_given = 0;
        let mut failing = |name: &str| {
            n_given += 1;
            let mut values = values(name);
            values.truncate(if n_given == 2 { 0 } else { values.len() });
            Ok(values)
        };
        let options = WriteOptions { element_type: ElementType::F32, max_shard_bytes: 1 };
        write_shards(directory.path(), "{}", &tensors(), options, &mut failing).unwrap_err();
        let error = Checkpoint::open(directory.path()).unwrap_err();
        assert!(matches!(error, WeightsError::NoWeights { .. }), "{error}");
        write(directory.path(), ElementType::F32, 1);
        assert!(Checkpoint::open(directory.path()).is_ok());
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let tensor = |name: &str, shape: &[usize]| (name.to_owned(), shape.to_vec());
        for tensors in [
            vec![tensor("a", &[1]), tensor("a", &[2])],
            vec![tensor("__metadata__", &[1])],
            vec![tensor("a", &[1 << 32, 1 << 32])],
        ] {
            let mut values = |_: &str| Ok(Vec::new());
            let options = WriteOptions::default();
            let error = write_shards(directory.path(), "{}", &tensors, options, &mut values);
            let error = error.unwrap_err();
            assert!(matches!(error, WeightsError::CannotWrite { .. }), "{error}");
            assert!(!directory.path().join(SINGLE).exists());
        }
    }

    #[test]
    fn a_tensor_that_is_refused_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), ElementType::F32, 1_000);
        let before = std::fs::read(directory.path().join(SINGLE)).unwrap();
        let options = WriteOptions::default();
        let mut short = |name: &str| {
            let mut values = values(name);
            values.pop();
            Ok(values)
        };
        let error = write_shards(directory.path(), "{}", &tensors(), options, &mut short);
        assert!(error.unwrap_err().to_string().contains("was given 3 values"));
        assert_eq!(std::fs::read(directory.path().join(SINGLE)).unwrap(), before);
    }
}
