"""llama.cpp through its C interface, as a package's shared library exports it: what its Python and Node bindings do not time or tell.

For workers that run inside the environment that has numpy. Parameters are the library's defaults, so only the first fields of
their structs matter here.
"""

import ctypes
from pathlib import Path

import numpy

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


def library(path: Path) -> ctypes.CDLL:
    llama = ctypes.CDLL(str(path))
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
    """A model and one context. `n_batch` is the most tokens of a call."""

    def __init__(self, llama: ctypes.CDLL, model: Path, n_ctx: int, n_batch: int, threads: int) -> None:
        self.llama, self.n_ctx = llama, n_ctx
        self.model = llama.llama_model_load_from_file(str(model).encode(), llama.llama_model_default_params())
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = n_ctx, n_batch, n_batch
        self.context = llama.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit("error: llama.cpp could not load the model")
        llama.llama_set_n_threads(self.context, threads, threads)
        self.vocab = llama.llama_model_get_vocab(self.model)
        self.n_vocab = llama.llama_vocab_n_tokens(self.vocab)
        self.batch = llama.llama_batch_init(n_batch, 0, 1)

    def bos(self):
        """The token that begins a text, where the vocabulary wants one."""
        return self.llama.llama_vocab_bos(self.vocab) if self.llama.llama_vocab_get_add_bos(self.vocab) else None

    def tokens(self, text: bytes) -> list:
        room = (ctypes.c_int32 * (len(text) + 16))()
        n = self.llama.llama_tokenize(self.vocab, text, len(text), room, len(room), True, False)
        return list(room[:n])

    def clear(self) -> None:
        self.llama.llama_memory_clear(self.llama.llama_get_memory(self.context), True)

    def decode(self, tokens: list, position: int, first: int) -> numpy.ndarray:
        """Logits of each token from the `first`, valid until the next call. The tokens stand at `position`."""
        batch = self.batch
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position + i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, i >= first
        if self.llama.llama_decode(self.context, batch) != 0:
            raise SystemExit("error: llama_decode failed")
        return numpy.ctypeslib.as_array(self.llama.llama_get_logits(self.context), (len(tokens) - first, self.n_vocab))
