//! The adapter of a LoRA training, in the files that PEFT reads.

use std::fs;
use std::path::Path;

use eef_llama::{Llama, LoraTarget};
use eef_weights::{write_atomically, write_safetensors};
use serde_json::json;

use crate::TrainError;

/// The folder of the adapter within a model's directory. Beside the merged weights transformers would
/// find it and add it to them once more.
pub(crate) const ADAPTER: &str = "adapter";

/// Writes `adapter_config.json` and `adapter_model.safetensors` into [`ADAPTER`]; nothing where no
/// adapter is attached.
pub(crate) fn write_adapter(model: &Llama, directory: &Path) -> Result<(), TrainError> {
    let Some(lora) = model.lora_config() else { return Ok(()) };
    let targets: Vec<_> = lora.targets.iter().copied().map(LoraTarget::module).collect();
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": null,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "target_modules": targets,
        "use_rslora": lora.rslora,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
    });
    let directory = directory.join(ADAPTER);
    fs::create_dir_all(&directory).map_err(TrainError::io("create", &directory))?;
    let path = directory.join("adapter_config.json");
    let text = format!("{config:#}\n");
    let failed = |path: &Path, source| TrainError::Model {
        doing: "write",
        path: path.to_path_buf(),
        source: Box::new(source),
    };
    write_atomically(&path, |file| file.write_all(text.as_bytes()))
        .map_err(|source| failed(&path, source))?;
    let path = directory.join("adapter_model.safetensors");
    write_safetensors(&path, &model.lora_tensors()).map_err(|source| failed(&path, source))
}
