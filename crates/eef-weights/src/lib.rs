//! Model checkpoints as files: Hugging Face directories, safetensors and GGUF, without a tensor
//! framework.
//!
//! A checkpoint is a directory with `config.json` and either `model.safetensors` or shards listed
//! in `model.safetensors.index.json`. [`Checkpoint::open`] maps the files and checks every header
//! against the file's length; tensors are then read one by one as `f32`, whatever they are stored
//! as. [`write_checkpoint`] writes a directory that other programs load, each file under a
//! temporary name first, so that a crash leaves the previous file or the new one.
//!
//! [`write_shards`] does so one tensor at a time, in half precision or in several files. [`Gguf`]
//! reads llama.cpp's files and converts them.
//!
//! The decision behind it: the header is parsed here, not by a library, because its errors are
//! what people see when a download was cut short: they name the file, the tensor, and the bytes
//! that were expected and found.
//!
//! ```
//! use eef_weights::{Checkpoint, NamedTensor, write_checkpoint};
//!
//! let directory = tempfile::tempdir()?;
//! let gain = NamedTensor::new("model.norm.weight", vec![2], vec![1.0, 0.5]);
//! write_checkpoint(directory.path(), r#"{"hidden_size": 2}"#, &[gain])?;
//!
//! let checkpoint = Checkpoint::open(directory.path())?;
//! assert_eq!(checkpoint.read("model.norm.weight", &[2])?, [1.0, 0.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod element;
mod error;
mod files;
mod gguf;
mod header;
mod map;
mod shards;
mod write;

pub use checkpoint::{Checkpoint, read_safetensors};
pub use element::ElementType;
pub use error::WeightsError;
pub use files::{directory_hash, write_atomically};
pub use gguf::{Converted, Gguf, GgufList, GgufType, GgufValue};
pub use shards::{WriteOptions, write_shards};
pub use write::{NamedTensor, write_checkpoint, write_safetensors};

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
