"""Measures torch with transformers, or llama.cpp, on what `eef-cli bench` measures of this project.

Prints one JSON object per line of work: {"work", "tokens", "seconds", "peak_bytes"}.

    python llama_peers.py torch MODEL_DIRECTORY --threads 2
    python llama_peers.py llama.cpp MODEL.gguf --threads 2

Tokens are arbitrary: none of the three looks at them. Every figure is the best of `--repeats`.
"""

import argparse
import ctypes
import json
import os
import resource
import sys
import time

PROMPT = 512
CONTEXT = 256
DECODED = 16
BATCHES = (1, 8, 32)
# The rollouts of `eef-cli bench`: an observation of 40 tokens and an action of 8 in each of 6 turns,
# 6 rollouts of a task, the i-th from the expert's first i turns. Conversations are worked on one
# after the other, so that a few tasks have the speed of many.
TASKS, TURNS, OBSERVATION, ACTION = 2, 6, 40, 8


def report(work, tokens, seconds):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = {"work": work, "tokens": tokens, "seconds": seconds, "peak_bytes": peak}
    print(json.dumps(line), flush=True)


def best(repeats, work):
    """Seconds of the fastest of some runs, after one that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def ids(seed, n, vocabulary):
    return [(seed * 31 + i * 17) % vocabulary for i in range(n)]


def torch_peer(directory, threads, repeats, only):
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoModelForCausalLM, DynamicCache

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    vocabulary = min(model.config.vocab_size, 32000)

    def rows(n, length):
        return torch.tensor([ids(i, length, vocabulary) for i in range(n)])

    @torch.inference_mode()
    def extend(tokens, cache):
        """The likeliest token after each row, whose keys and values join the cache."""
        output = model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1].argmax(-1, keepdim=True)

    if "prefill" in only:
        prompt = rows(1, PROMPT)
        seconds = best(repeats, lambda: extend(prompt, DynamicCache()))
        report(f"prefill 1x{PROMPT}", PROMPT, seconds)
    for n in BATCHES if "decode" in only else ():
        seconds = []
        for _ in range(repeats + 1):
            cache = DynamicCache()
            # The context is filled in parts: its activations are not what is measured.
            last = extend(rows(n, CONTEXT), cache)
            start = time.perf_counter()
            for _ in range(DECODED):
                last = extend(last, cache)
            seconds.append(time.perf_counter() - start)
        report(f"decode {n} at {CONTEXT}", n * DECODED, min(seconds[1:]))
    if "rollouts" in only:
        generated = 0
        start = time.perf_counter()
        for task in range(TASKS):
            for first in range(TURNS):
                cache = DynamicCache()
                length = (OBSERVATION + ACTION) * first + OBSERVATION
                tokens = torch.tensor([ids(task, length, vocabulary)])
                for _ in range(first, TURNS):
                    for _ in range(ACTION):
                        tokens = extend(tokens, cache)
                        generated += 1
                    observation = torch.tensor([ids(task + first, OBSERVATION, vocabulary)])
                    tokens = torch.cat([tokens, observation], 1)
        report("rollouts", generated, time.perf_counter() - start)


def llama_cpp_peer(file, threads, repeats, only):
    import llama_cpp.llama_cpp as lib

    @lib.llama_log_callback
    def silent(level, text, data):
        pass

    lib.llama_log_set(silent, ctypes.c_void_p(0))
    lib.llama_backend_init()
    model = lib.llama_model_load_from_file(file.encode(), lib.llama_model_default_params())
    if not model:
        sys.exit(f"{file}: llama.cpp cannot load it")

    def context(n):
        parameters = lib.llama_context_default_params()
        parameters.n_ctx = n * 512
        parameters.n_batch = parameters.n_ubatch = 512
        parameters.n_seq_max = n
        parameters.n_threads = parameters.n_threads_batch = threads
        return lib.llama_init_from_model(model, parameters)

    def decode(handle, items):
        """Items are (token, position, sequence, whether logits are read)."""
        batch = lib.llama_batch_init(len(items), 0, 1)
        batch.n_tokens = len(items)
        for i, (token, position, sequence, read) in enumerate(items):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, read
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        code = lib.llama_decode(handle, batch)
        lib.llama_batch_free(batch)
        if code != 0:
            sys.exit(f"llama_decode ended with {code}")
        lib.llama_get_logits_ith(handle, -1)

    if "prefill" in only:
        handle = context(1)

        def prefill():
            lib.llama_memory_clear(lib.llama_get_memory(handle), True)
            tokens = ids(0, PROMPT, 32000)
            decode(handle, [(t, i, 0, i == PROMPT - 1) for i, t in enumerate(tokens)])

        report(f"prefill 1x{PROMPT}", PROMPT, best(repeats, prefill))
        lib.llama_free(handle)
    for n in BATCHES if "decode" in only else ():
        handle = context(n)
        memory = lib.llama_get_memory(handle)
        seconds = []
        for _ in range(repeats + 1):
            lib.llama_memory_clear(memory, True)
            for sequence in range(n):
                tokens = ids(sequence, CONTEXT, 32000)
                decode(handle, [(t, i, sequence, i == CONTEXT - 1) for i, t in enumerate(tokens)])
            start = time.perf_counter()
            for step in range(DECODED):
                decode(handle, [(1000 + s, CONTEXT + step, s, True) for s in range(n)])
            seconds.append(time.perf_counter() - start)
        report(f"decode {n} at {CONTEXT}", n * DECODED, min(seconds[1:]))
        lib.llama_free(handle)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=("torch", "llama.cpp"))
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", default="prefill,decode,rollouts")
    arguments = parser.parse_args()
    peer = torch_peer if arguments.peer == "torch" else llama_cpp_peer
    os.environ.setdefault("OMP_NUM_THREADS", str(arguments.threads))
    peer(arguments.model, arguments.threads, arguments.repeats, arguments.only.split(","))


main()
