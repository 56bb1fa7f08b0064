//! What tensors are called in GGUF files and in Hugging Face's.

/// Hugging Face's name of a tensor of the `llama` architecture; nothing where it has none.
pub(super) fn hugging_face(name: &str) -> Option<String> {
    match name {
        "token_embd.weight" => return Some("model.embed_tokens.weight".to_owned()),
        "output_norm.weight" => return Some("model.norm.weight".to_owned()),
        "output.weight" => return Some("lm_head.weight".to_owned()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    layer.parse::<u32>().ok()?;
    let part = match part.strip_suffix(".weight")? {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "ffn_norm" => "post_attention_layernorm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}.weight"))
}

/// Puts the rows of queries or keys back where Hugging Face has them. llama.cpp rotates neighbouring
/// columns, so its converter puts the two halves of each head between each other.
pub(super) fn unpermute(values: &[f32], n_rows: usize, n_heads: usize) -> Vec<f32> {
    let (width, head) = (values.len() / n_rows.max(1), n_rows / n_heads.max(1));
    let mut out = Vec::with_capacity(values.len());
    for row in 0..n_rows {
        let (start, within) = (row / head * head, row % head);
        let (second, place) = (within / (head / 2), within % (head / 2));
        let from = (start + 2 * place + second) * width;
        out.extend_from_slice(&values[from..from + width]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_come_apart_again() {
        // Two heads of four rows, one number each: 0 2 1 3 are rows 0 1 2 3 of the converter's.
        let permuted = [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0];
        assert_eq!(unpermute(&permuted, 8, 2), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn names_are_those_of_transformers() {
        let name = |name| hugging_face(name).unwrap();
        assert_eq!(name("blk.12.ffn_down.weight"), "model.layers.12.mlp.down_proj.weight");
        assert_eq!(name("output_norm.weight"), "model.norm.weight");
        for unknown in ["blk.1.attn_q.bias", "blk.x.attn_q.weight", "blk.0.ffn_gate_exps.weight"] {
            assert_eq!(hugging_face(unknown), None, "{unknown}");
        }
    }
}
