"""Trains tiny checkpoints with torch, step by step, for the tests beside this folder.

    pip install torch transformers safetensors
    python make.py

The checkpoints are those of `eef-llama/tests/transformers`. Each folder written here holds
`expected.json` (the examples or pairs, the settings, and of every step the loss, the learning rate
and the norm of all gradients) and `model.safetensors`, the weights after the last step.
Batches are padded and masked as Hugging Face's trainers do; nothing of this repository is used.
"""

import json
import math
import pathlib
import random
import shutil

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
MODELS = HERE / "../../../eef-llama/tests/transformers"
VOCABULARY = 48
ADAMW = {"beta_1": 0.9, "beta_2": 0.95, "epsilon": 1e-8, "weight_decay": 0.01}


def load(name):
    model = AutoModelForCausalLM.from_pretrained(
        MODELS / name, dtype=torch.float32, attn_implementation="eager"
    )
    return model.train()


def optimiser(model, learning_rate):
    matrices = [p for p in model.parameters() if p.ndim > 1]
    gains = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": ADAMW["weight_decay"]},
        {"params": gains, "weight_decay": 0.0},
    ]
    betas = (ADAMW["beta_1"], ADAMW["beta_2"])
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=ADAMW["epsilon"])


def factor(schedule, step, n_steps, n_warmup):
    if step < n_warmup:
        return (step + 1) / n_warmup
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return {"cosine": (1 + math.cos(math.pi * progress)) / 2, "constant": 1.0}[schedule]


def an_example(generator, shortest=6, longest=28):
    n = generator.randint(shortest, longest)
    tokens = [generator.randrange(VOCABULARY) for _ in range(n)]
    trained = [generator.random() < 0.3 for _ in range(n)]
    trained[-1] = True
    return {"tokens": tokens, "trained": trained}


def padded(examples):
    longest = max(len(e["tokens"]) for e in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    attention = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for row, example in enumerate(examples):
        n = len(example["tokens"])
        ids[row, :n] = torch.tensor(example["tokens"])
        attention[row, :n] = 1
        for place, trained in enumerate(example["trained"]):
            if trained:
                labels[row, place] = example["tokens"][place]
    return ids, attention, labels


def sums_of_log_probabilities(model, examples):
    ids, attention, labels = padded(examples)
    logits = model(input_ids=ids, attention_mask=attention).logits[:, :-1]
    labels = labels[:, 1:]
    of_tokens = torch.log_softmax(logits, -1).gather(2, labels.clamp(min=0)[..., None])[..., 0]
    return (of_tokens * (labels != -100)).sum(1)


def train(name, model, settings, units, loss_of):
    """Plain epochs over `units` in their order."""
    steps = []
    batches = [
        units[start : start + settings["batch_size"]]
        for _ in range(settings["n_epochs"])
        for start in range(0, len(units), settings["batch_size"])
    ]
    n_warmup = math.ceil(settings["warmup_fraction"] * len(batches))
    adamw = optimiser(model, settings["learning_rate"])
    for step, batch in enumerate(batches):
        rate = settings["learning_rate"] * factor(
            settings["schedule"], step, len(batches), n_warmup
        )
        for group in adamw.param_groups:
            group["lr"] = rate
        adamw.zero_grad()
        loss, more = loss_of(batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings["max_gradient_norm"])
        adamw.step()
        steps.append(
            {"loss": loss.item(), "learning_rate": rate, "gradient_norm": norm.item()} | more
        )
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    final = {n: p.detach().clone().contiguous() for n, p in model.named_parameters()}
    save_file(final, folder / "model.safetensors")
    shutil.copy(MODELS / settings["checkpoint"] / "config.json", folder)
    expected = {"settings": settings | {"adamw": ADAMW}, "units": units, "steps": steps}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    print(name, len(steps), [round(step["loss"], 4) for step in steps])


def masked(name, checkpoint, seed):
    model = load(checkpoint)
    generator = random.Random(seed)
    units = [an_example(generator) for _ in range(16)]

    def loss_of(batch):
        ids, attention, labels = padded(batch)
        return model(input_ids=ids, attention_mask=attention, labels=labels).loss, {}

    settings = {
        "checkpoint": checkpoint, "n_epochs": 5, "batch_size": 4, "learning_rate": 2e-3,
        "schedule": "cosine", "warmup_fraction": 0.1, "max_gradient_norm": 1.0,
    }
    train(name, model, settings, units, loss_of)


def preferences(name, checkpoint, seed, beta):
    model = load(checkpoint)
    generator = random.Random(seed)
    units = [
        {"chosen": an_example(generator), "rejected": an_example(generator)} for _ in range(9)
    ]
    start = load(checkpoint).eval()

    def loss_of(batch):
        sides = [[pair[side] for pair in batch] for side in ("chosen", "rejected")]
        with torch.no_grad():
            before = [sums_of_log_probabilities(start, side) for side in sides]
        now = [sums_of_log_probabilities(model, side) for side in sides]
        chosen, rejected = (beta * (n - b) for n, b in zip(now, before))
        loss = -torch.nn.functional.logsigmoid(chosen - rejected).mean()
        more = {
            "accuracy": (chosen > rejected).float().mean().item(),
            "chosen_reward": chosen.mean().item(),
            "rejected_reward": rejected.mean().item(),
        }
        return loss, more

    settings = {
        "checkpoint": checkpoint, "n_epochs": 4, "batch_size": 2, "learning_rate": 5e-4,
        "schedule": "constant", "warmup_fraction": 0.1, "max_gradient_norm": 1.0, "beta": beta,
    }
    train(name, model, settings, units, loss_of)


def main():
    torch.set_num_threads(1)
    masked("masked", "llama3", 1)
    masked("masked-window", "mistral-window", 2)
    preferences("preferences", "llama3", 3, 0.1)
    preferences("preferences-window", "mistral-window", 4, 0.5)


if __name__ == "__main__":
    main()
