//! A model of 4 million weights, where a training's time lies between its matrix products.

use std::path::Path;

use eef_core::Seed;
use eef_weights::{NamedTensor, write_checkpoint};
use serde_json::json;

/// Ids that it knows.
pub const VOCABULARY: usize = 4096;

const HIDDEN: usize = 256;
const FEED_FORWARD: usize = 768;
const LAYERS: usize = 4;
const HEADS: usize = 8;
const KEY_VALUE_HEADS: usize = 4;

/// Weights are uniform within this: their deviation is then the usual 0.02.
const REACH: f64 = 0.0346;

/// Writes it with random weights.
pub fn write(directory: &Path) -> anyhow::Result<()> {
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "head_dim": HIDDEN / HEADS,
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
    });
    let mut rng = Seed::new(1).rng();
    let mut matrix = |name: String, rows: usize, columns: usize| {
        let values = (0..rows * columns).map(|_| ((2.0 * rng.uniform() - 1.0) * REACH) as f32);
        NamedTensor::new(name, vec![rows, columns], values.collect::<Vec<f32>>())
    };
    let gain = |name: String| NamedTensor::new(name, vec![HIDDEN], vec![1.0; HIDDEN]);
    let key_value = KEY_VALUE_HEADS * HIDDEN / HEADS;
    let mut tensors = vec![
        matrix("model.embed_tokens.weight".to_owned(), VOCABULARY, HIDDEN),
        gain("model.norm.weight".to_owned()),
    ];
    for layer in 0..LAYERS {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        tensors.extend([
            gain(name("input_layernorm")),
            matrix(name("self_attn.q_proj"), HIDDEN, HIDDEN),
            matrix(name("self_attn.k_proj"), key_value, HIDDEN),
            matrix(name("self_attn.v_proj"), key_value, HIDDEN),
            matrix(name("self_attn.o_proj"), HIDDEN, HIDDEN),
            gain(name("post_attention_layernorm")),
            matrix(name("mlp.gate_proj"), FEED_FORWARD, HIDDEN),
            matrix(name("mlp.up_proj"), FEED_FORWARD, HIDDEN),
            matrix(name("mlp.down_proj"), HIDDEN, FEED_FORWARD),
        ]);
    }
    write_checkpoint(directory, &serde_json::to_string_pretty(&config)?, &tensors)?;
    Ok(())
}
