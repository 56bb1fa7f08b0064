//! The adapter of a LoRA training, in the files that PEFT reads.

use std::fs;
use std::path::Path;

use eef_llama::{Llama, LoraTarget};
use eef_weights::write_safetensors;
use serde_json::json;

use crate::TrainError;

/// Writes `adapter_config.json` and `adapter_model.safetensors`; nothing where no adapter is
/// attached.
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
    let path = directory.join("adapter_config.json");
    fs::write(&path, format!("{config:#}\n")).map_err(TrainError::io("write", &path))?;
    let path = directory.join("adapter_model.safetensors");
    write_safetensors(&path, &model.lora_tensors()).map_err(|source| TrainError::Model {
        doing: "write",
        path,
        source: Box::new(source),
    })
}
