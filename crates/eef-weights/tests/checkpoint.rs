//! Checkpoints written, read back, cut short and tampered with.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::collections::BTreeMap;
use std::path::Path;

use eef_weights::{Checkpoint, NamedTensor, WeightsError, write_checkpoint, write_safetensors};

fn sample(directory: &Path) {
    let tensors = [
        NamedTensor::new("b", vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        NamedTensor::new("a", vec![2], vec![0.5, -0.0]),
    ];
    write_checkpoint(directory, "{}", &tensors).unwrap();
}

#[test]
fn what_is_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    sample(directory.path());
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(checkpoint.read("b", &[2, 3]).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let a: Vec<u32> = checkpoint.read("a", &[2]).unwrap().iter().map(|x| x.to_bits()).collect();
    assert_eq!(a, [0.5f32.to_bits(), (-0.0f32).to_bits()]);
    assert_eq!(checkpoint.config_text(), "{}");
}

#[test]
fn the_reference_library_reads_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    sample(directory.path());
    let bytes = std::fs::read(directory.path().join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let b = file.tensor("b").unwrap();
    assert_eq!(b.shape(), [2, 3]);
    assert_eq!(b.data()[..4], 1f32.to_le_bytes());
}

#[test]
fn shards_and_halves_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let half = [0x00u8, 0x3c, 0x00, 0xc0];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F16, vec![2], &half);
    let shard = BTreeMap::from([("y", view.unwrap())]);
    let file = directory.path().join("model-2.safetensors");
    safetensors::serialize_to_file(shard, None, &file).unwrap();
    let x = NamedTensor::new("x", vec![1], vec![7.0]);
    write_safetensors(&directory.path().join("model-1.safetensors"), &[x]).unwrap();
    std::fs::write(directory.path().join("config.json"), "{}").unwrap();
    let index = r#"{"metadata": {"total_size": 8},
        "weight_map": {"x": "model-1.safetensors", "y": "model-2.safetensors"}}"#;
    std::fs::write(directory.path().join("model.safetensors.index.json"), index).unwrap();

    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    assert_eq!(checkpoint.read("x", &[1]).unwrap(), [7.0]);
    assert_eq!(checkpoint.read("y", &[2]).unwrap(), [1.0, -2.0]);

    let index = index.replace("model-2", "../model-2");
    std::fs::write(directory.path().join("model.safetensors.index.json"), index).unwrap();
    assert!(matches!(Checkpoint::open(directory.path()), Err(WeightsError::Json { .. })));
}

#[test]
fn every_truncation_is_one_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    sample(directory.path());
    let path = directory.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let mut n_truncated = 0;
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = Checkpoint::open(directory.path()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("model.safetensors") && !message.contains('\n'), "{message}");
        n_truncated += usize::from(matches!(error, WeightsError::Truncated { .. }));
    }
    assert_eq!(n_truncated, 32, "each cut inside the data names a tensor");
}

#[test]
fn no_single_byte_of_a_header_makes_it_panic() {
    let directory = tempfile::tempdir().unwrap();
    sample(directory.path());
    let path = directory.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let header_end = whole.len() - 32;
    for at in 0..header_end {
        for value in [0u8, b'9', b'"', b'{', 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(checkpoint) = Checkpoint::open(directory.path()) {
                for name in ["a", "b"] {
                    let _ = checkpoint.read(name, &[2]);
                }
            }
        }
    }
}

#[test]
fn errors_say_what_was_expected() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Checkpoint::open(&directory.path().join("nowhere")).unwrap_err().to_string();
    assert!(missing.contains("nowhere"), "{missing}");
    sample(directory.path());
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let shape = checkpoint.read("a", &[3]).unwrap_err().to_string();
    assert!(shape.contains("tensor a has shape [2], but config.json asks for [3]"), "{shape}");
    let name = checkpoint.read("c", &[3]).unwrap_err().to_string();
    assert!(name.contains("no tensor named c"), "{name}");

    let huge =
        [b"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,8],\"data_offsets\":[0,0]}}"
            .as_slice()]
        .concat();
    let mut bytes = (huge.len() as u64).to_le_bytes().to_vec();
    bytes.extend(huge);
    std::fs::write(directory.path().join("model.safetensors"), bytes).unwrap();
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    assert!(checkpoint.read("a", &[9223372036854775807, 8]).is_err());

    std::fs::remove_file(directory.path().join("model.safetensors")).unwrap();
    let none = Checkpoint::open(directory.path()).unwrap_err();
    assert!(matches!(none, WeightsError::NoWeights { .. }));
}
