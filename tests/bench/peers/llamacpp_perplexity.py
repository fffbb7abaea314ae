"""llama.cpp's perplexity, through the C interface that the package xllamacpp exports: what its own tool computes.

Run by perplexity.py inside the environment that has the package: `llamacpp_perplexity.py MODEL TEXT N_CTX CHUNKS THREADS`.
One JSON object to stdout.
"""

import json
import sys
from pathlib import Path

import numpy
import xllamacpp

from llamacpp_c import Engine, library


def second_half(engine: Engine, window: list) -> list:
    """Negative log-likelihoods of the window's second half."""
    bos, first = engine.bos(), engine.n_ctx // 2
    window = window if bos is None else [bos, *window[1:]]
    engine.clear()
    return losses(engine.decode(window, 0, first)[:-1], window[first + 1:])


def losses(logits: numpy.ndarray, tokens: list) -> list:
    """-ln p of each row's token."""
    shifted = logits.astype(numpy.float64) - logits.max(axis=1, keepdims=True)
    own = shifted[numpy.arange(len(tokens)), tokens]
    return list(numpy.log(numpy.exp(shifted).sum(axis=1)) - own)


def main() -> None:
    model, text = map(Path, sys.argv[1:3])
    n_ctx, chunks, threads = map(int, sys.argv[3:6])
    engine = Engine(library(xllamacpp.xllamacpp.__file__), model, n_ctx, n_ctx, threads)
    tokens = engine.tokens(text.read_bytes())
    found = []
    for start in range(0, min(chunks, len(tokens) // n_ctx) * n_ctx, n_ctx):
        found += second_half(engine, tokens[start:start + n_ctx])
    print(json.dumps({"ppl": float(numpy.exp(numpy.mean(found))), "tokens": len(found)}))


main()
