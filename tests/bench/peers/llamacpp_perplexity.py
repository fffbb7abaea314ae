"""llama.cpp's perplexity, through the C interface that the package xllamacpp exports: what its own tool computes.

Run by perplexity.py inside the environment that has the package: `llamacpp_perplexity.py MODEL TEXT N_CTX CHUNKS THREADS`.
One JSON object to stdout. Parameters are the library's defaults, so only the first fields of their structs matter here.
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy
import xllamacpp

# more than any of the library's parameter structs takes: it is passed on the stack, where the rest of it is never read
PARAMS_BYTES = 1024


class ModelParams(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_char * PARAMS_BYTES)]


class ContextParams(ctypes.Structure):
    _fields_ = [("n_ctx", ctypes.c_uint32), ("n_batch", ctypes.c_uint32), ("n_ubatch", ctypes.c_uint32),
                ("rest", ctypes.c_char * PARAMS_BYTES)]


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p),
                ("pos", ctypes.POINTER(ctypes.c_int32)), ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
                ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))), ("logits", ctypes.POINTER(ctypes.c_int8))]


def library() -> ctypes.CDLL:
    llama = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    pointer = ctypes.c_void_p
    signatures = {
        "llama_model_default_params": (ModelParams, []),
        "llama_context_default_params": (ContextParams, []),
        "llama_model_load_from_file": (pointer, [ctypes.c_char_p, ModelParams]),
        "llama_init_from_model": (pointer, [pointer, ContextParams]),
        "llama_model_get_vocab": (pointer, [pointer]),
        "llama_vocab_n_tokens": (ctypes.c_int32, [pointer]),
        "llama_vocab_bos": (ctypes.c_int32, [pointer]),
        "llama_vocab_get_add_bos": (ctypes.c_bool, [pointer]),
        "llama_tokenize": (ctypes.c_int32, [pointer, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32),
                                            ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]),
        "llama_set_n_threads": (None, [pointer, ctypes.c_int32, ctypes.c_int32]),
        "llama_get_memory": (pointer, [pointer]),
        "llama_memory_clear": (None, [pointer, ctypes.c_bool]),
        "llama_batch_init": (Batch, [ctypes.c_int32] * 3),
        "llama_decode": (ctypes.c_int32, [pointer, Batch]),
        "llama_get_logits": (ctypes.POINTER(ctypes.c_float), [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(llama, name)
        function.restype, function.argtypes = result, arguments
    return llama


class Engine:
    def __init__(self, model: Path, n_ctx: int, threads: int) -> None:
        self.llama, self.n_ctx = library(), n_ctx
        self.model = self.llama.llama_model_load_from_file(str(model).encode(), self.llama.llama_model_default_params())
        params = self.llama.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = n_ctx
        self.context = self.llama.llama_init_from_model(self.model, params)
        self.llama.llama_set_n_threads(self.context, threads, threads)
        self.vocab = self.llama.llama_model_get_vocab(self.model)
        self.n_vocab = self.llama.llama_vocab_n_tokens(self.vocab)
        self.batch = self.llama.llama_batch_init(n_ctx, 0, 1)

    def tokens(self, text: bytes) -> list:
        room = (ctypes.c_int32 * (len(text) + 16))()
        n = self.llama.llama_tokenize(self.vocab, text, len(text), room, len(room), True, False)
        return list(room[:n])

    def second_half(self, window: list) -> list:
        """Negative log-likelihoods of the window's second half."""
        window, batch = list(window), self.batch
        if self.llama.llama_vocab_get_add_bos(self.vocab):
            window[0] = self.llama.llama_vocab_bos(self.vocab)
        self.llama.llama_memory_clear(self.llama.llama_get_memory(self.context), True)
        batch.n_tokens = len(window)
        first = self.n_ctx // 2
        for i, token in enumerate(window):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, i >= first
        if self.llama.llama_decode(self.context, batch) != 0:
            raise SystemExit("error: llama_decode failed")
        rows = len(window) - first
        logits = numpy.ctypeslib.as_array(self.llama.llama_get_logits(self.context), (rows, self.n_vocab))
        return losses(logits[:-1], window[first + 1:])


def losses(logits: numpy.ndarray, tokens: list) -> list:
    """-ln p of each row's token."""
    shifted = logits.astype(numpy.float64) - logits.max(axis=1, keepdims=True)
    own = shifted[numpy.arange(len(tokens)), tokens]
    return list(numpy.log(numpy.exp(shifted).sum(axis=1)) - own)


def main() -> None:
    model, text = map(Path, sys.argv[1:3])
    n_ctx, chunks, threads = map(int, sys.argv[3:6])
    engine = Engine(model, n_ctx, threads)
    tokens = engine.tokens(text.read_bytes())
    found = []
    for start in range(0, min(chunks, len(tokens) // n_ctx) * n_ctx, n_ctx):
        found += engine.second_half(tokens[start:start + n_ctx])
    print(json.dumps({"ppl": float(numpy.exp(numpy.mean(found))), "tokens": len(found)}))


main()
