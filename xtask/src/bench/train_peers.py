"""Measures torch with transformers on what `eef-cli bench --train` measures of this project.

Prints one JSON object: {"tokens", "trained_tokens", "seconds", "peak_bytes", "losses"}.

    python train_peers.py MODEL_DIRECTORY EXAMPLES.json --batch-size 4 --threads 2

Each step takes the next examples of the file, padded to the longest, with -100 as the label of what
is not trained, and the loss that the model computes itself from logits at all positions. The first
step is not counted. Tokens are those of the examples: padding is work, and no token.
"""

import argparse
import json
import os
import resource
import time

LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY, CLIP = 1e-5, (0.9, 0.95), 1e-8, 0.01, 1.0
NOT_TRAINED = -100


def batch_of(examples, torch):
    longest = max(len(example["token_ids"]) for example in examples)
    ids, labels, mask = [], [], []
    for example in examples:
        tokens, trained = example["token_ids"], example["trained"]
        padding = longest - len(tokens)
        ids.append(tokens + [0] * padding)
        of_it = [token if on else NOT_TRAINED for token, on in zip(tokens, trained)]
        labels.append(of_it + [NOT_TRAINED] * padding)
        mask.append([1] * len(tokens) + [0] * padding)
    batch = {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels)}
    # Without padding no mask: attention then takes its fast, causal path.
    if any(0 in row for row in mask):
        batch["attention_mask"] = torch.tensor(mask)
    return batch


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("examples")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(arguments.threads))
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(arguments.threads)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).train()
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=LEARNING_RATE,
        betas=BETAS,
        eps=EPSILON,
        weight_decay=WEIGHT_DECAY,
        fused=True,
    )
    with open(arguments.examples) as file:
        examples = json.load(file)
    tokens, trained, seconds, losses = 0, 0, 0.0, []
    for first in range(0, len(examples), arguments.batch_size):
        chosen = examples[first : first + arguments.batch_size]
        start = time.perf_counter()
        loss = model(**batch_of(chosen, torch), use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
        if first > 0:
            seconds += time.perf_counter() - start
            tokens += sum(len(example["token_ids"]) for example in chosen)
            trained += sum(sum(example["trained"][1:]) for example in chosen)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = {"tokens": tokens, "trained_tokens": trained, "seconds": seconds}
    print(json.dumps({**line, "peak_bytes": peak, "losses": losses}), flush=True)


main()
