"""Embeddings per second of an encoder on the CPU, gabion beside llama.cpp: the same file, texts and threads, in turn. Part of run.py.

32 texts of 128 tokens at once (for a WordPiece vocabulary with everyday words, such as BERT's), REPEATS times after a warm-up. Of gabion,
a run of one repeat is subtracted from a longer one, so that loading does not count. Processor time is told beside wall time, for on a
busy machine only that compares. Both answers to the first text must agree.
"""

import argparse
import json
import resource
import subprocess
import time

import table
from packages import HERE

TEXTS, WORDS, REPEATS = 32, 126, 3
# the least cosine of both engines' vectors: both quantize activations
AGREEMENT = 0.999
VOCABULARY = (
    "time year people way day man thing woman life child world school state family student group country problem hand part place "
    "case week company system program question work government number night point home water room mother area money story fact"
).split()


def texts() -> list:
    """Each word is a token; [CLS] and [SEP] make 128."""
    word = lambda i, j: VOCABULARY[(i * 31 + j * 17 + j * j % 13) % len(VOCABULARY)]
    return [" ".join(word(i, j) for j in range(WORDS)) for i in range(TEXTS)]


def gabion_run(args: argparse.Namespace, repeats: int) -> tuple:
    """Seconds, processor seconds and the vectors of so many repeats, in one process."""
    command = [str(args.gabion), "embed", "-m", args.model, "-t", str(args.threads), "--device", "cpu", "--json"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    text = "\n".join(texts() * repeats)
    result = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, json.loads(result.stdout)["embeddings"][0]


def gabion(args: argparse.Namespace) -> dict:
    once, more = gabion_run(args, 1), gabion_run(args, 1 + REPEATS)
    return {"wall": more[0] - once[0], "cpu": more[1] - once[1], "first": once[2]}


def llamacpp(args: argparse.Namespace) -> dict:
    worker = [str(args.python), str(HERE / "llamacpp_embed.py"), args.model, str(args.threads), str(REPEATS)]
    text = "\n".join(texts())
    result = subprocess.run(worker, input=text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    answer = json.loads(result.stdout.splitlines()[-1])
    if answer["tokens"] != TEXTS * (WORDS + 2):
        raise SystemExit(f"{answer['tokens']} tokens: the vocabulary cuts these words")
    return answer


def cosine(a: list, b: list) -> float:
    dot = lambda x, y: sum(p * q for p, q in zip(x, y))
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


def rows(args: argparse.Namespace) -> list:
    rounds = [(llamacpp(args), gabion(args)) for _ in range(args.rounds)]
    agreement = min(cosine(theirs["first"], ours["first"]) for theirs, ours in rounds)
    if agreement < AGREEMENT:
        raise SystemExit(f"error: the embeddings differ: cosine {agreement:.6f}")
    found = []
    for what, unit in [("wall", "texts/s"), ("cpu", "texts/processor second")]:
        samples = zip(*([TEXTS * REPEATS / answer[what] for answer in pair] for pair in rounds))
        test = f"embed {TEXTS} x {WORDS + 2} tokens, cosine {agreement:.6f}"
        found.append(table.row("CPU", test, unit, dict(zip(table.ENGINES, map(list, samples)))))
    return found
