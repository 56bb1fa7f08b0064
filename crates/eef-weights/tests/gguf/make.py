"""Makes the GGUF files beside this one, with the Python package of llama.cpp's project.

    pip install gguf numpy
    python make.py

`types.gguf` has a tensor of random blocks of every type, named after it, and what they stand for
as `NAME.expected`. `model.gguf` is a tiny model as llama.cpp's converter writes one; the rows of
queries and keys are in its order, and `original.NAME` has them as they were.
"""

import pathlib

import gguf
import numpy as np

HERE = pathlib.Path(__file__).parent
TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]


def blocks(random, kind, n_blocks):
    """Random blocks whose scales are small numbers."""
    _, n_bytes = gguf.GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (n_blocks, n_bytes), dtype=np.uint8)
    scales = {
        "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
        "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    }
    for at in scales[kind.name]:
        scale = random.normal(0, 0.1, n_blocks).astype(np.float16)
        data[:, at:at + 2] = scale.view(np.uint8).reshape(n_blocks, 2)
    return data


def types(random):
    writer = gguf.GGUFWriter(HERE / "types.gguf", "llama")
    writer.add_array("test.counts", [3, 1, 2])
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        if name == "F16":
            raw = random.normal(size=(2, 8)).astype(np.float16)
            values = raw.astype(np.float32)
            writer.add_tensor(name, raw)
        elif name == "BF16":
            bits = random.normal(size=(2, 8)).astype(np.float32).view(np.uint32) >> 16
            values = (bits << 16).view(np.float32)
            writer.add_tensor(name, bits.astype(np.uint16).view(np.uint8), raw_dtype=kind)
        else:
            raw = blocks(random, kind, 2)
            values = gguf.quants.dequantize(raw, kind)
            writer.add_tensor(name, raw, raw_dtype=kind)
        writer.add_tensor(name + ".expected", values.astype(np.float32))
    finish(writer)


def permute(rows, n_heads):
    """As llama.cpp's converter orders the rows of queries and keys."""
    n, width = rows.shape
    return rows.reshape(n_heads, 2, n // n_heads // 2, width).swapaxes(1, 2).reshape(n, width)


def model(random):
    hidden, inner, heads, key_values, width = 32, 64, 4, 2, 8
    writer = gguf.GGUFWriter(HERE / "model.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(hidden)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_values)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = ["<|begin|>", "<|end|>", "a", "b", "\u0120", "ab", "\u0120a"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b", "\u0120 a"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    rows = lambda n, m: random.normal(0, 0.3, (n, m)).astype(np.float32)
    tensors = {
        "token_embd": rows(len(tokens), hidden),
        "output_norm": np.ones(hidden, np.float32),
        "output": rows(len(tokens), hidden),
        "blk.0.attn_norm": np.full(hidden, 0.5, np.float32),
        "blk.0.attn_v": rows(key_values * width, hidden),
        "blk.0.attn_output": rows(hidden, heads * width),
        "blk.0.ffn_norm": np.full(hidden, 1.5, np.float32),
        "blk.0.ffn_gate": rows(inner, hidden),
        "blk.0.ffn_up": rows(inner, hidden),
        "blk.0.ffn_down": rows(hidden, inner),
    }
    for name, values in tensors.items():
        writer.add_tensor(name + ".weight", values)
    originals = gguf.GGUFWriter(HERE / "originals.gguf", "llama")
    for name, n_heads in [("attn_q", heads), ("attn_k", key_values)]:
        values = rows(n_heads * width, hidden)
        writer.add_tensor(f"blk.0.{name}.weight", permute(values, n_heads))
        originals.add_tensor(name, values)
    # Long rotations of LLaMA 3.1's scaling, by its formula, factor 8.
    divisors = []
    for i in range(width // 2):
        frequency = 500000.0 ** (-2 * i / width)
        wavelength = 2 * np.pi / frequency
        if wavelength < 8192 / 4:
            divisors.append(1.0)
        elif wavelength > 8192:
            divisors.append(8.0)
        else:
            smooth = (8192 / wavelength - 1) / 3
            divisors.append(1 / ((1 - smooth) / 8 + smooth))
    writer.add_tensor("rope_freqs.weight", np.array(divisors, np.float32))
    finish(writer)
    finish(originals)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    random = np.random.default_rng(7)
    types(random)
    model(random)
