"""Makes the tiny random checkpoints beside this file, and what transformers computes with them.

    pip install torch transformers peft
    python make.py

Each folder holds a checkpoint as `save_pretrained` writes it, and `expected.json`: token ids,
logits `[position][token]`, the mean loss of predicting each next token, the norm of each gradient,
and a greedy continuation. `lora` is an adapter of PEFT's on `llama3`, with its logits.
"""

import json
import pathlib
import shutil

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

HERE = pathlib.Path(__file__).parent
SHAPE = dict(
    vocab_size=48,
    hidden_size=32,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=256,
    initializer_range=0.3,
    bos_token_id=1,
    eos_token_id=2,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
MODELS = {
    # Scaled rotary embeddings, grouped heads, a tied output layer, heads wider than usual.
    "llama3": (
        LlamaForCausalLM,
        LlamaConfig(
            **SHAPE, num_key_value_heads=2, head_dim=12, tie_word_embeddings=True,
            rms_norm_eps=1e-5, rope_parameters=LLAMA3,
        ),
        torch.float32,
    ),
    # A window of 7 under texts of 30; the padding token stands in the text.
    "mistral-window": (
        MistralForCausalLM,
        MistralConfig(
            **SHAPE, num_key_value_heads=1, sliding_window=7, tie_word_embeddings=False,
            rms_norm_eps=1e-5, pad_token_id=5,
        ),
        torch.float32,
    ),
    # A head for each query head, an output layer of its own, weights in bfloat16, two shards.
    "untied-bf16-shards": (
        LlamaForCausalLM,
        LlamaConfig(**SHAPE, num_key_value_heads=4, tie_word_embeddings=False, rms_norm_eps=1e-6),
        torch.bfloat16,
    ),
}


def make_lora():
    torch.manual_seed(11)
    model = LlamaForCausalLM.from_pretrained(
        HERE / "llama3", dtype=torch.float32, attn_implementation="eager"
    )
    targets = ["q_proj", "v_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=targets))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    folder = HERE / "lora"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    # PEFT writes the path of the base model on the machine that ran it.
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text()) | {"base_model_name_or_path": None}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    ids = json.loads((HERE / "llama3" / "expected.json").read_text())["ids"]
    with torch.no_grad():
        logits = model.eval()(torch.tensor([ids])).logits[0].tolist()
    expected = {"ids": ids, "logits": [[round(x, 6) for x in row] for row in logits]}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def main():
    torch.set_num_threads(1)
    for name, (kind, config, dtype) in MODELS.items():
        torch.manual_seed(7)
        config._attn_implementation = "eager"
        model = kind(config).to(dtype)
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder, max_shard_size="20KB" if "shards" in name else "1GB")
        # In f32, whatever the weights are stored as. Loaded anew: casting the module would leave its
        # rotary frequencies rounded.
        model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        ids = torch.randint(3, 48, (1, 30))
        ids[0, 3] = ids[0, 20] = 5
        output = model(ids, labels=ids)
        output.loss.backward()
        continued = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, min_new_tokens=16,
            do_sample=False, pad_token_id=0, eos_token_id=None,
        )
        expected = {
            "ids": ids[0].tolist(),
            "logits": [[round(x, 6) for x in row] for row in output.logits[0].tolist()],
            "loss": output.loss.item(),
            "gradient_norms": {
                name: parameter.grad.norm().item()
                for name, parameter in model.named_parameters()
            },
            "greedy": continued[0, ids.shape[1]:].tolist(),
        }
        (folder / "expected.json").write_text(json.dumps(expected) + "\n")
        (folder / "generation_config.json").unlink(missing_ok=True)
        print(name, output.loss.item(), expected["greedy"])
    make_lora()


if __name__ == "__main__":
    main()
