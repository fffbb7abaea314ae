"""`Model`: an immutable model on a device."""

from __future__ import annotations

import os
from ctypes import byref, c_uint8
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence, Union

from . import _abi
from ._library import Handle, check, choice, ids_in, ids_out, initial, lib, text_out, user_callback
from .chat import Chat
from .embedder import Embedder
from .session import Session
from .types import DeviceInfo, ModelInfo

#: Gets (loaded bytes, total bytes); returning False cancels.
Progress = Callable[[int, int], Optional[bool]]


def _device(info: _abi.gabion_device_info) -> DeviceInfo:
    kind = _abi.DEVICE_KINDS[info.kind]
    return DeviceInfo(kind, info.name.decode(), info.backend.decode(), info.driver.decode(), info.threads)


def devices() -> list[DeviceInfo]:
    """Every device of this machine, the CPU first."""
    found: list[DeviceInfo] = []
    callback, thrown = user_callback(_abi.gabion_device_fn, lambda info: found.append(_device(info.contents)))
    status = lib.gabion_devices(callback, None)
    if thrown:
        raise thrown[0]
    check(status)
    return found


def open_runtime(device: str, threads: int, level: Optional[str]) -> Handle:
    """A device by its name."""
    options = initial(_abi.gabion_runtime_options, lib.gabion_runtime_options_init)
    name = device.encode()
    options.device, options.device_len, options.threads = name, len(name), threads
    if level is not None:
        kernels = level.encode()
        options.level, options.level_len = kernels, len(kernels)
    return Handle.make(lib.gabion_runtime_free, lambda made: lib.gabion_runtime_new(byref(options), made))


def _model_options(exact: bool, gelu: Optional[str]) -> _abi.gabion_model_options:
    options = initial(_abi.gabion_model_options, lib.gabion_model_options_init)
    options.exact, options.gelu = exact, choice("gelu", gelu, _abi.GELUS)
    return options


class Metadata(Mapping[str, str]):
    """The keys of a model's file, each value as text; arrays as their type and length."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def __getitem__(self, key: str) -> str:
        name = key.encode()
        with self._handle as model:
            value = text_out(lambda *out: lib.gabion_model_metadata(model, name, len(name), *out))
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        index = 0
        while True:
            with self._handle as model:
                key = text_out(lambda *out: lib.gabion_model_metadata_key(model, index, *out))
            if key is None:
                return
            yield key
            index += 1

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Model:
    """A loaded model. Any number of threads may use it at once. Free it with `close` or a `with` block; sessions made from
    it stay usable."""

    def __init__(
        self,
        path: Union[str, os.PathLike[str]],
        device: str = "auto",
        *,
        threads: int = 0,
        level: Optional[str] = None,
        exact: bool = False,
        gelu: Optional[str] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Loads the GGUF file at `path`; of a split model, the first file.

        device: "auto" (a hardware GPU, else the CPU), "cpu", "gpu", or part of an adapter's name.
        threads: of the CPU device; 0 for one per core.
        level: kernels of a GPU, e.g. "base"; None for the best that pays on the adapter.
        exact: float32 activations and cache: slower, the same on every device.
        gelu: "tanh" or "erf"; a file does not tell which GELU its model was trained with. None for what the models of its
            family define. llama.cpp computes the tanh form for all: for its numbers, take that.
        progress: called with (loaded bytes, total bytes); returning False cancels."""
        name = os.fsencode(path)
        open_file = lambda *to: lib.gabion_model_open(to[0], name, len(name), *to[1:])  # noqa: E731
        self._load(_model_options(exact, gelu), open_runtime(device, threads, level), progress, open_file)

    @classmethod
    def from_bytes(
        cls,
        data: Union[bytes, bytearray, memoryview],
        device: str = "auto",
        *,
        threads: int = 0,
        level: Optional[str] = None,
        exact: bool = False,
        gelu: Optional[str] = None,
        progress: Optional[Progress] = None,
    ) -> Model:
        """Loads a model from the bytes of its whole file, which are copied."""
        model = cls.__new__(cls)
        size = len(data)
        raw = (c_uint8 * size).from_buffer_copy(data) if size else None
        load = lambda *to: lib.gabion_model_from_memory(to[0], raw, size, *to[1:])  # noqa: E731
        model._load(_model_options(exact, gelu), open_runtime(device, threads, level), progress, load)
        return model

    def _load(
        self,
        options: _abi.gabion_model_options,
        runtime: Handle,
        progress: Optional[Progress],
        call: Callable[..., int],
    ) -> None:
        thrown: list[BaseException] = []
        if progress:
            options.progress, thrown = user_callback(_abi.gabion_progress_fn, progress)
        try:
            with runtime as pointer:
                self._handle = Handle.make(lib.gabion_model_free, lambda made: call(pointer, byref(options), made))
                #: The device it is loaded on.
                info = _abi.sized(_abi.gabion_device_info)
                check(lib.gabion_runtime_get_info(pointer, byref(info)))
                self.device = _device(info)
        except Exception as failure:
            raise thrown[0] if thrown else failure
        finally:
            runtime.close()
        self.info = self._info()

    def _info(self) -> ModelInfo:
        info = _abi.sized(_abi.gabion_model_info)
        with self._handle as model:
            check(lib.gabion_model_get_info(model, byref(info)))
            return ModelInfo(
                architecture=info.architecture.decode(),
                name=info.name.decode(),
                description=info.description.decode(),
                n_vocab=info.n_vocab,
                n_ctx_train=info.n_ctx_train,
                n_embd=info.n_embd,
                n_layer=info.n_layer,
                weight_bytes=info.weight_bytes,
                has_tokenizer=bool(info.has_tokenizer),
                has_chat_template=bool(info.has_chat_template),
            )

    @property
    def metadata(self) -> Metadata:
        """The keys of its file."""
        return Metadata(self._handle)

    def tokenize(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """Token ids of `text`. `add_special` adds the tokens that the model wants around a text; `parse_special` turns text
        such as "<|im_end|>" into control tokens: never set it for text from users."""
        raw = text.encode()
        with self._handle as model:
            return ids_out(
                len(raw) + 2,
                lambda *out: lib.gabion_model_tokenize(model, raw, len(raw), add_special, parse_special, *out),
            )

    def detokenize(self, tokens: Sequence[int], *, special: bool = False) -> str:
        """Text of token ids; control tokens are shown if `special`."""
        ids = ids_in(tokens)
        with self._handle as model:
            return text_out(lambda *out: lib.gabion_model_detokenize(model, *ids, special, *out)) or ""

    def token_text(self, token: int) -> str:
        """What one token prints as, control tokens included."""
        with self._handle as model:
            return text_out(lambda *out: lib.gabion_model_token_text(model, token, *out)) or ""

    def is_eog(self, token: int) -> bool:
        """Whether a token ends generation."""
        with self._handle as model:
            return bool(lib.gabion_model_is_eog(model, token))

    def chat_tokens(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = True) -> list[int]:
        """Token ids of a conversation through the model's own chat template. Text in messages cannot forge control
        tokens."""
        texts = [(message["role"].encode(), message["content"].encode()) for message in messages]
        made = [
            _abi.sized(_abi.gabion_message, role=role, role_len=len(role), content=content, content_len=len(content))
            for role, content in texts
        ]
        array = (_abi.gabion_message * len(made))(*made)
        options = initial(_abi.gabion_chat_options, lib.gabion_chat_options_init)
        options.add_generation_prompt = add_generation_prompt
        with self._handle as model:
            return ids_out(
                1024, lambda *out: lib.gabion_model_chat_tokens(model, array, len(made), byref(options), *out)
            )

    def session(self, *, n_ctx: int = 0, n_batch: int = 0, kv: Optional[str] = None) -> Session:
        """A new session with an empty context.

        n_ctx: tokens that fit; 0 for the smaller of 4096 and what the model was trained for.
        n_batch: tokens computed at once; 0 for what the device prefers.
        kv: element type of the cache, "f16", "f32", or on the CPU "q8_0" or "q4_0"; None for what suits
            the model."""
        return Session(self, n_ctx=n_ctx, n_batch=n_batch, kv=kv)

    def embedder(
        self,
        *,
        max_tokens: int = 0,
        batch_tokens: int = 0,
        dimensions: int = 0,
        pooling: Optional[str] = None,
        normalize: bool = True,
        truncate: bool = False,
        query_prefix: str = "",
        document_prefix: str = "",
    ) -> Embedder:
        """Makes vectors or scores of whole texts, if the model is an encoder, a reranker or another that does not generate.

        max_tokens: of the longest text; 0 for the smaller of 512 and what the model was trained for.
        batch_tokens: that go through the model at once, of as many texts as fit; 0 for what the device prefers.
        dimensions: numbers of a vector to keep (models trained by Matryoshka losses allow it); 0 for all.
        pooling: "mean", "cls", "last", or "none" for every token's state; None for what the file says.
        normalize: whether vectors have length 1.
        truncate: cut longer texts (of a pair the second) instead of raising ContextFull.
        query_prefix, document_prefix: what the model's makers want before texts of these kinds."""
        return Embedder(
            self,
            max_tokens=max_tokens,
            batch_tokens=batch_tokens,
            dimensions=dimensions,
            pooling=pooling,
            normalize=normalize,
            truncate=truncate,
            query_prefix=query_prefix,
            document_prefix=document_prefix,
        )

    def chat(self, system: Optional[str] = None, **session: Any) -> Chat:
        """A conversation with its own session, made with the given options."""
        return Chat(self.session(**session), system)

    def close(self) -> None:
        """Frees it as soon as no call uses it. Sessions stay usable."""
        self._handle.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<gabion.Model {self.info.description} on {self.device.name}>"
