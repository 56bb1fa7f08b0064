"""Does what `cargo xtask interop` asks of transformers and peft: prints one JSON object a check.

Arguments: the model's directory, a file with what `eef-cli generate --json` said of it, and, where
an adapter is compared, its base model's directory and that of the training: merged weights, and the
adapter in the folder `adapter`.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def load(directory):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()


def continuations(directory, file):
    """Our greedy continuations beside those of transformers."""
    tokenizer, model = AutoTokenizer.from_pretrained(directory), load(directory)
    checked, differing = 0, []
    for line in open(file, encoding="utf-8"):
        record = json.loads(line)
        ids = tokenizer(record["source"], add_special_tokens=False, return_tensors="pt").input_ids
        n_new = len(record["token_ids"])
        with torch.no_grad():
            found = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=n_new, do_sample=False
            )[0, ids.shape[1]:].tolist()
        checked += 1
        if found != record["token_ids"]:
            differing.append(record["source"])
    return {"check": "greedy continuations", "cases": checked, "differing": differing}


def adapter(base, directory):
    """The adapter beside its base model in peft, and the merged weights of the same directory."""
    from peft import PeftModel

    merged = load(directory)
    attached = PeftModel.from_pretrained(load(base), directory + "/adapter").eval()
    plain = load(base)
    ids = torch.arange(5, 65).reshape(1, -1) % merged.config.vocab_size
    with torch.no_grad():
        logits = [model(ids).logits for model in (merged, attached, plain)]
    return {
        "check": "adapter",
        "cases": logits[0].numel(),
        "largest_difference": (logits[0] - logits[1]).abs().max().item(),
        # An adapter that does nothing would agree as well.
        "difference_to_base": (logits[0] - logits[2]).abs().max().item(),
    }


if __name__ == "__main__":
    torch.set_num_threads(2)
    print(json.dumps(continuations(sys.argv[1], sys.argv[2])))
    if len(sys.argv) > 4:
        print(json.dumps(adapter(sys.argv[3], sys.argv[4])))
