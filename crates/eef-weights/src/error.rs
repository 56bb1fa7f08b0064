use std::path::PathBuf;

/// What can go wrong with the files of a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as "read" or "write".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A directory has neither a single weights file nor an index of shards.
    #[error(
        "{} has no model.safetensors and no model.safetensors.index.json: give a model directory in Hugging Face layout",
        directory.display()
    )]
    NoWeights {
        /// The directory.
        directory: PathBuf,
    },
    /// A JSON file does not parse, or lacks a field.
    #[error("{}: {message}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        message: String,
    },
    /// A safetensors header is not what the format says.
    #[error("{}: not a valid safetensors file: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A GGUF file is not what the format says, or cannot be converted.
    #[error("{}: cannot be used as a GGUF model: {reason}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor of a GGUF file is stored in a way that is not known here.
    #[error(
        "{}: tensor {tensor} is stored as ggml type {code}; F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, \
         Q8_0, Q4_K, Q5_K and Q6_K can be read: take another file of the model",
        path.display()
    )]
    GgufType {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The type's number.
        code: u32,
    },
    /// A tensor's bytes are not all there.
    #[error(
        "{}: truncated: tensor {tensor} needs {expected} bytes of data, the file has {found}; fetch or write it again",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The first tensor that does not fit.
        tensor: String,
        /// Bytes of tensor data needed up to this tensor's end.
        expected: usize,
        /// Bytes of tensor data in the file.
        found: usize,
    },
    /// A tensor is missing.
    #[error("{}: no tensor named {tensor}", path.display())]
    MissingTensor {
        /// The file or directory that was searched.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor has another shape than its configuration says.
    #[error(
        "{}: tensor {tensor} has shape {found:?}, but config.json asks for {expected:?}",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is stored as a type that has no conversion to `f32` here.
    #[error(
        "{}: tensor {tensor} is stored as {found}; F32, F16 and BF16 can be read",
        path.display()
    )]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The type's name in the header.
        found: String,
    },
    /// A tensor that no safetensors file can hold.
    #[error("{}: tensor {tensor} cannot be written: {reason}", path.display())]
    CannotWrite {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Why not.
        reason: &'static str,
    },
    /// A tensor given for writing has another number of values than its shape says.
    #[error("tensor {tensor} of shape {shape:?} was given {found} values")]
    ValueCount {
        /// The tensor's name.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values were given.
        found: usize,
    },
}
