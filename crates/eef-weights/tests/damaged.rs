//! Damaged headers: no panic, one clear error, and no more memory than the file has bytes.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod support;

use std::path::{Path, PathBuf};

use eef_weights::{Checkpoint, Gguf, NamedTensor, WriteOptions, write_checkpoint};
use proptest::prelude::*;

use crate::support::{ALLOWANCE, changes, damaged, measured};

fn gguf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gguf/model.gguf")
}

fn safetensors(directory: &Path) -> Vec<u8> {
    let tensors = [
        NamedTensor::new("a", vec![2, 3], vec![1.0; 6]),
        NamedTensor::new("b", vec![4], vec![2.0; 4]),
    ];
    write_checkpoint(directory, "{\"hidden_size\": 2}", &tensors).unwrap();
    std::fs::read(directory.join("model.safetensors")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damaged_gguf_files_are_refused(changes in changes()) {
        let bytes = std::fs::read(gguf()).unwrap();
        let bytes = damaged(&bytes, 1_700, &changes);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.gguf");
        std::fs::write(&path, &bytes).unwrap();
        let (opened, most) = measured(|| Gguf::open(&path));
        prop_assert!(most <= bytes.len() + ALLOWANCE, "{} bytes for {}", most, bytes.len());
        match opened {
            Err(error) => prop_assert!(error.to_string().contains("model.gguf"), "{}", error),
            Ok(opened) => {
                let out = directory.path().join("out");
                let converted = opened.convert(&out, WriteOptions::default(), &mut |_, _| {});
                if let Err(error) = converted {
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }

    #[test]
    fn damaged_safetensors_are_refused(changes in changes()) {
        let directory = tempfile::tempdir().unwrap();
        let bytes = safetensors(directory.path());
        let bytes = damaged(&bytes, bytes.len(), &changes);
        std::fs::write(directory.path().join("model.safetensors"), &bytes).unwrap();
        let (opened, most) = measured(|| Checkpoint::open(directory.path()));
        prop_assert!(most <= bytes.len() + ALLOWANCE, "{} bytes for {}", most, bytes.len());
        match opened {
            Err(error) => prop_assert!(error.to_string().contains("model.safetensors"), "{}", error),
            Ok(opened) => {
                let names: Vec<String> = opened.names().map(str::to_owned).collect();
                for name in names {
                    let shape = opened.shape(&name).unwrap().to_vec();
                    let (_, most) = measured(|| opened.read(&name, &shape).is_ok());
                    prop_assert!(most <= 2 * bytes.len() + ALLOWANCE);
                }
            }
        }
    }

    #[test]
    fn damaged_indices_are_refused(changes in changes()) {
        let directory = tempfile::tempdir().unwrap();
        let tensors = vec![("a".to_owned(), vec![2]), ("b".to_owned(), vec![2])];
        let options = WriteOptions { max_shard_bytes: 8, ..WriteOptions::default() };
        eef_weights::write_shards(directory.path(), "{}", &tensors, options, &mut |_| {
            Ok(vec![1.0, 2.0])
        })
        .unwrap();
        let path = directory.path().join("model.safetensors.index.json");
        let bytes = std::fs::read(&path).unwrap();
        let bytes = damaged(&bytes, bytes.len(), &changes);
        std::fs::write(&path, &bytes).unwrap();
        let (opened, most) = measured(|| Checkpoint::open(directory.path()));
        prop_assert!(most <= bytes.len() + ALLOWANCE);
        if let Err(error) = opened {
            let name = directory.path().display().to_string();
            prop_assert!(error.to_string().contains(&name), "{}", error);
        }
    }
}

#[test]
fn what_is_counted_is_what_is_held() {
    let (text, most) = measured(|| vec![0_u8; 3 << 20].len());
    assert!(text == 3 << 20 && most >= 3 << 20);
    // Nesting that would exhaust a stack.
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = 100_000_u64.to_le_bytes().to_vec();
    bytes.extend(std::iter::repeat_n(b'[', 100_000));
    std::fs::write(directory.path().join("config.json"), "{}").unwrap();
    std::fs::write(directory.path().join("model.safetensors"), bytes).unwrap();
    let error = Checkpoint::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("its header does not parse"), "{error}");
}
