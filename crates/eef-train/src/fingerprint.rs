//! What makes one training the same as another.

use std::path::Path;

use crate::trainer::Data;
use crate::{TrainConfig, TrainError};

/// Hash of everything that decides the final weights: configuration (but for the number of
/// threads and how often it checkpoints), examples or pairs in order, and the initial model's files.
pub(crate) fn fingerprint(
    config: &TrainConfig,
    init: &Path,
    data: Data<'_>,
) -> Result<String, TrainError> {
    let decisive = TrainConfig { n_workers: 0, checkpoint_every_steps: 0, ..config.clone() };
    let mut hasher = blake3::Hasher::new_derive_key("eef-train fingerprint v1");
    let config = serde_json::to_vec(&decisive).map_err(|source| TrainError::Io {
        doing: "serialise the configuration for",
        path: init.to_path_buf(),
        source: source.into(),
    })?;
    hasher.update(&config);
    let model = eef_weights::directory_hash(init).map_err(|source| TrainError::Model {
        doing: "read",
        path: init.to_path_buf(),
        source: Box::new(source),
    })?;
    hasher.update(model.as_bytes());
    if let Data::Pairs(_, preference) = data {
        hasher.update(b"preference pairs").update(&preference.beta.to_le_bytes());
    }
    for example in data.examples() {
        hasher.update(&(example.n_tokens() as u64).to_le_bytes());
        for (token, trained) in example.token_ids().iter().zip(example.trained()) {
            hasher.update(&token.to_le_bytes());
            hasher.update(&[u8::from(*trained)]);
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}
