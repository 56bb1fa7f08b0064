//! Model checkpoints as files: Hugging Face directories and safetensors, without a tensor framework.
