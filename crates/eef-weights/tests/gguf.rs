//! GGUF files that the Python package of llama.cpp's project wrote: see `gguf/make.py`.

use std::path::{Path, PathBuf};

use eef_weights::{Checkpoint, ElementType, Gguf, GgufType, GgufValue, WriteOptions};
use serde_json::{Value, json};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gguf").join(name)
}

#[test]
fn blocks_of_every_type_stand_for_what_the_reference_says() {
    let gguf = Gguf::open(&file("types.gguf")).unwrap();
    let mut kinds = Vec::new();
    for name in gguf.names().filter(|name| !name.ends_with(".expected")) {
        let (found, expected) = (gguf.read(name).unwrap(), gguf.read(&format!("{name}.expected")));
        let expected = expected.unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        let largest = expected.iter().map(|x| x.abs()).fold(0.0, f32::max);
        assert!(largest > 0.1, "{name}: nothing to compare");
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.to_bits(), expected.to_bits(), "{name} {place}: {found} {expected}");
        }
        kinds.push(gguf.tensor(name).unwrap().1);
    }
    assert_eq!(kinds.len(), 10);
    assert!(kinds.contains(&GgufType::Q6K) && kinds.contains(&GgufType::Bf16));
    assert_eq!(gguf.numbers("test.counts").unwrap(), [3.0, 1.0, 2.0]);
}

#[test]
fn a_model_becomes_a_hugging_face_directory() {
    let gguf = Gguf::open(&file("model.gguf")).unwrap();
    assert_eq!(gguf.metadata("llama.block_count").and_then(GgufValue::as_count), Some(1));
    let directory = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let converted = gguf
        .convert(directory.path(), WriteOptions::default(), &mut |done, all| seen.push((done, all)))
        .unwrap();
    assert_eq!((converted.n_tensors, converted.has_chat_template), (12, true));
    assert_eq!(seen.last(), Some(&(12, 12)));

    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let originals = Gguf::open(&file("originals.gguf")).unwrap();
    for (name, rows) in [("q", 32), ("k", 16)] {
        let found = checkpoint
            .read(&format!("model.layers.0.self_attn.{name}_proj.weight"), &[rows, 32])
            .unwrap();
        assert_eq!(found, originals.read(&format!("attn_{name}")).unwrap(), "{name}");
    }
    for (ours, theirs, sides) in [
        ("model.layers.0.self_attn.v_proj", "blk.0.attn_v", [16, 32]),
        ("model.layers.0.mlp.down_proj", "blk.0.ffn_down", [32, 64]),
        ("lm_head", "output", [7, 32]),
    ] {
        let found = checkpoint.read(&format!("{ours}.weight"), &sides).unwrap();
        assert_eq!(found, gguf.read(&format!("{theirs}.weight")).unwrap(), "{ours}");
    }
    let config: Value = serde_json::from_str(checkpoint.config_text()).unwrap();
    for (field, expected) in [
        ("rope_theta", json!(500_000.0)),
        ("rms_norm_eps", json!(1e-5)),
        ("head_dim", json!(8)),
        ("tie_word_embeddings", json!(false)),
        ("eos_token_id", json!(1)),
        ("vocab_size", json!(7)),
    ] {
        assert_eq!(config[field], expected, "{field}");
    }
    assert_eq!(config["rope_scaling"]["rope_type"], "llama3");
    assert_eq!(config["rope_scaling"]["factor"], 8.0);
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let tokenizer: Value = serde_json::from_str(&read("tokenizer.json")).unwrap();
    assert_eq!(tokenizer["model"]["merges"][1], json!(["\u{120}", "a"]));
    assert_eq!(tokenizer["added_tokens"][1]["content"], "<|end|>");
    let begin = &tokenizer["post_processor"];
    assert_eq!(begin["single"][0]["SpecialToken"]["id"], "<|begin|>");
    assert_eq!(begin["special_tokens"]["<|begin|>"]["ids"], json!([0]));
    assert!(read("tokenizer_config.json").contains("\"eos_token\": \"<|end|>\""));
    assert_eq!(read("chat_template.jinja"), "{{ messages[0]['content'] }}");

    // In halves of the bytes, and in pieces.
    let options = WriteOptions { element_type: ElementType::BF16, max_shard_bytes: 4_000 };
    let converted = gguf.convert(directory.path(), options, &mut |_, _| {}).unwrap();
    assert!(converted.files.len() > 2);
    let halved = Checkpoint::open(directory.path()).unwrap();
    let name = "model.layers.0.mlp.up_proj.weight";
    let (found, expected) =
        (halved.read(name, &[64, 32]).unwrap(), gguf.read("blk.0.ffn_up.weight").unwrap());
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= b.abs() / 256.0));
    assert!(found != expected && halved.config_text().contains("bfloat16"));
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let bytes = std::fs::read(file("model.gguf")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broken.gguf");
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Gguf::open(&path).unwrap_err().to_string()
    };
    let change = |at: usize, with: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        open(&bytes)
    };
    let cut = open(&bytes[..bytes.len() - 40]);
    assert!(cut.contains("broken.gguf: truncated: tensor"), "{cut}");
    assert!(open(&bytes[..100]).contains("its header breaks off"));
    assert!(change(0, b"GGML").contains("it does not begin with GGUF"));
    assert!(change(4, &[1]).contains("it is of version 1; versions 2 and 3 can be read"));
    assert!(change(4, &[0, 0, 0, 3]).contains("big-endian"));
    assert!(change(8, &[255; 8]).contains("it claims 18446744073709551615 tensors"));
    let at = bytes.windows(5).position(|w| w == b"llama").unwrap();
    let mut other = bytes.clone();
    other[at..at + 5].copy_from_slice(b"gemma");
    std::fs::write(&path, other).unwrap();
    let gguf = Gguf::open(&path).unwrap();
    let error = gguf.convert(directory.path(), WriteOptions::default(), &mut |_, _| {});
    let error = error.unwrap_err().to_string();
    assert!(error.contains("general.architecture is gemma; llama can be converted"), "{error}");
}
