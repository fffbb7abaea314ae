"""`fit`: what a model is and whether it fits a device, before it is loaded."""

from __future__ import annotations

import os
from ctypes import byref, c_uint8
from typing import Optional, Union

from . import _abi
from ._library import Handle, check, choice, initial, lib
from .errors import InvalidArgument
from .model import open_runtime
from .types import Fit

_KV_NAMES = {number: name for name, number in _abi.KV_TYPES.items()}


def fit(
    model: Union[str, os.PathLike[str], bytes, bytearray, memoryview],
    device: str = "auto",
    *,
    n_ctx: int = 0,
    n_batch: int = 0,
    kv: Optional[str] = None,
    exact: bool = False,
    gelu: Optional[str] = None,
    memory: Optional[int] = None,
    threads: int = 0,
    level: Optional[str] = None,
) -> Fit:
    """What a model and one session of it would take, from the header alone; any thread may call it. A model that this version
    cannot run raises what loading would, and the message names what is missing; one that does not fit raises nothing.

    model: path of the GGUF file (of a split model, the first), or bytes: the start of a file, at least its header.
    n_ctx, n_batch, kv: as for `Model.session`.
    device, threads, level, exact, gelu: as for `Model`.
    memory: bytes that it may take; None for what the device says it has, where it does."""
    if memory is not None and memory <= 0:
        raise InvalidArgument(f"memory is {memory}, not a positive number of bytes")
    options = initial(_abi.gabion_fit_options, lib.gabion_fit_options_init)
    options.exact, options.memory_limit = exact, memory or 0
    options.kv_type, options.gelu = choice("kv", kv, _abi.KV_TYPES), choice("gelu", gelu, _abi.GELUS)
    options.n_ctx, options.n_batch = n_ctx, n_batch
    runtime = open_runtime(device, threads, level)
    try:
        with runtime as pointer:
            made = Handle.make(lib.gabion_fit_free, lambda out: _open(pointer, model, options, out))
    finally:
        runtime.close()
    info = _abi.sized(_abi.gabion_fit_info)
    with made as pointer:
        check(lib.gabion_fit_get_info(pointer, byref(info)))
        found = _fit(info)
    made.close()
    return found


def _open(runtime: object, model: object, options: _abi.gabion_fit_options, out: object) -> int:
    if isinstance(model, (bytes, bytearray, memoryview)):
        size = len(model)
        raw = (c_uint8 * size).from_buffer_copy(model) if size else None
        return lib.gabion_fit_from_memory(runtime, raw, size, byref(options), out)
    name = os.fsencode(model)  # type: ignore[arg-type]
    return lib.gabion_fit_open(runtime, name, len(name), byref(options), out)


def _fit(info: _abi.gabion_fit_info) -> Fit:
    same = (
        "n_parameters tensor_bytes bits_per_weight n_ctx_train n_vocab n_embd n_layer weight_bytes kv_bytes "
        "scratch_bytes n_ctx n_batch max_n_ctx"
    )
    return Fit(
        architecture=info.architecture.decode(),
        name=info.name.decode(),
        tokenizer=info.tokenizer.decode(),
        has_chat_template=bool(info.has_chat_template),
        memory=info.memory_limit or None,
        max_buffer=info.buffer_limit or None,
        kv=_KV_NAMES[info.kv_type] or "",
        problem=None if info.fits else info.problem.decode(),
        **{name: getattr(info, name) for name in same.split()},
    )
