//! Lists the tensors of a model directory; without an argument, of a small one that it writes.
//!
//! `cargo run -p eef-weights --example list_tensors -- path/to/model`
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::path::PathBuf;

use eef_weights::{Checkpoint, NamedTensor, write_checkpoint};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let directory = if let Some(path) = std::env::args_os().nth(1) {
        PathBuf::from(path)
    } else {
        let embedding = NamedTensor::new("model.embed_tokens.weight", vec![3, 2], vec![0.5; 6]);
        let norm = NamedTensor::new("model.norm.weight", vec![2], vec![1.0; 2]);
        write_checkpoint(scratch.path(), r#"{"hidden_size": 2}"#, &[embedding, norm])?;
        scratch.path().to_owned()
    };
    let checkpoint = Checkpoint::open(&directory)?;
    for name in checkpoint.names() {
        println!("{name} {:?}", checkpoint.shape(name)?);
    }
    Ok(())
}
