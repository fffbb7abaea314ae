"""`Session`: one timeline of tokens over a model."""

from __future__ import annotations

import secrets
from array import array
from ctypes import POINTER, byref, c_float, c_size_t, c_uint8, c_uint32, string_at
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional, Sequence, Union

from . import _abi
from ._library import Handle, check, choice, ids_in, initial, lib
from .generation import Generation
from .types import Prompt, Synced

if TYPE_CHECKING:
    from .model import Model


class Session:
    """One timeline: its context and its logits. One thread at a time, or Busy is raised; `cancel` from any thread. Free it
    with `close` or a `with` block."""

    def __init__(self, model: Model, *, n_ctx: int = 0, n_batch: int = 0, kv: Optional[str] = None) -> None:
        """Use `Model.session`."""
        options = initial(_abi.gabion_session_options, lib.gabion_session_options_init)
        options.n_ctx, options.n_batch, options.kv_type = n_ctx, n_batch, choice("kv", kv, _abi.KV_TYPES)
        #: The model it runs.
        self.model = model
        with model._handle as pointer:
            self._handle = Handle.make(
                lib.gabion_session_free, lambda made: lib.gabion_session_new(pointer, byref(options), made)
            )

    @property
    def n_ctx(self) -> int:
        """Tokens that fit."""
        with self._handle as session:
            return lib.gabion_session_n_ctx(session)

    @property
    def tokens(self) -> list[int]:
        """Tokens in the context."""
        data, count = POINTER(c_uint32)(), c_size_t()
        with self._handle as session:
            check(lib.gabion_session_tokens(session, byref(data), byref(count)))
            return data[: count.value]

    @property
    def logits(self) -> array[float]:
        """Logits after the last token, `n_vocab` of them; empty where nothing was computed. A copy, which
        `numpy.frombuffer(logits, "f4")` can view."""
        data, count = POINTER(c_float)(), c_size_t()
        with self._handle as session:
            check(lib.gabion_session_logits(session, byref(data), byref(count)))
            copy = array("f")
            copy.frombytes(string_at(data, count.value * 4) if count.value else b"")
            return copy

    def sync(self, tokens: Sequence[int]) -> Synced:
        """Makes the context exactly `tokens`, at least one, and computes the logits after the last. Give the whole text
        every time: what is already there is reused."""
        ids = ids_in(tokens)
        reused, computed = c_size_t(), c_size_t()
        with self._handle as session:
            check(lib.gabion_session_sync(session, *ids, byref(reused), byref(computed)))
        return Synced(reused.value, computed.value)

    def step(self, token: int) -> None:
        """Appends one token and computes the logits after it."""
        ids, _ = ids_in([token])
        with self._handle as session:
            check(lib.gabion_session_step(session, ids[0]))

    def score(self, tokens: Sequence[int]) -> list[float]:
        """-ln p of every token but the first, given those before it. Leaves `tokens` as the context."""
        ids, count = ids_in(tokens)
        nll = (c_float * max(count - 1, 0))()
        with self._handle as session:
            check(lib.gabion_session_score(session, ids, count, nll, len(nll)))
        return list(nll)

    def save(self) -> bytes:
        """The session as bytes: tokens, cache, recurrent states and logits, for `restore` of a session of the same model on any
        device."""
        data, count = POINTER(c_uint8)(), c_size_t()
        with self._handle as session:
            check(lib.gabion_session_save(session, byref(data), byref(count)))
        try:
            return string_at(data, count.value)
        finally:
            lib.gabion_bytes_free(data, count)

    def restore(self, saved: bytes) -> None:
        """Makes the session one that was saved, of the same model and cache type; its tokens must fit, else ContextFull. Damaged bytes
        or another model's raise InvalidArgument and change nothing."""
        data = (c_uint8 * len(saved)).from_buffer_copy(saved)
        with self._handle as session:
            check(lib.gabion_session_restore(session, data, len(saved)))

    def fork(self) -> Session:
        """Another session with the same contents, which goes its own way from here."""
        fork = Session.__new__(Session)
        fork.model = self.model
        with self._handle as session:
            fork._handle = Handle.make(lib.gabion_session_free, lambda made: lib.gabion_session_fork(session, made))
        return fork

    def clear(self) -> None:
        """Empties the context."""
        with self._handle as session:
            check(lib.gabion_session_clear(session))

    def cancel(self) -> None:
        """Stops what the session is doing in another thread: that call, or the next step of a running generator, raises
        Cancelled. A request that comes when nothing runs is dropped."""
        with self._handle as session:
            lib.gabion_session_cancel(session)

    def generate(self, prompt: Prompt, **options: Any) -> Iterator[str]:
        """Generates after `prompt`, or in answer to it where the model has an encoder before its decoder (T5), and yields
        text as it comes; never half a character. Options as for `events`."""
        with self.events(prompt, **options) as pieces:
            yield from (piece.text for piece in pieces if piece.text)

    def events(
        self,
        prompt: Prompt,
        *,
        max_tokens: Optional[int] = None,
        temperature: Optional[float] = None,
        top_k: Optional[int] = None,
        top_p: Optional[float] = None,
        min_p: Optional[float] = None,
        seed: Optional[int] = None,
        stop: Union[str, Sequence[str]] = (),
        ignore_eog: bool = False,
        logprobs: int = 0,
    ) -> Generation:
        """Generates after `prompt`; iterate the result for every step. The prompt is a plain text, messages for the model's chat template,
        or token ids, and is the whole context: what the session already has of it is not computed again. Nothing runs
        before the first step is asked for.

        max_tokens: most tokens; None until the context is full.
        temperature: divides the logits (0.8); 0 picks the most likely token.
        top_k: keeps the k most likely tokens (40); 0 keeps all.
        top_p: keeps the fewest tokens whose probabilities reach this sum (0.95).
        min_p: drops tokens less likely than this times the most likely (0.05).
        seed: start of the random sequence, the same seed gives the same text; None for a new one each time.
        stop: texts that end generation and are not part of the output.
        ignore_eog: go on past end-of-generation tokens.
        logprobs: how many of the most likely tokens to report at each step."""
        made = initial(_abi.gabion_generate_options, lib.gabion_generate_options_init)
        made.max_tokens = -1 if max_tokens is None else max(max_tokens, 0)
        made.seed = secrets.randbits(64) if seed is None else seed
        given = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
        for name, value in given.items():
            if value is not None:
                setattr(made, name, value)
        stops = [text.encode() for text in ([stop] if isinstance(stop, str) else stop)]
        made.stop = (_abi.gabion_string * len(stops))(*[_abi.gabion_string(text, len(text)) for text in stops])
        made.n_stop = len(stops)
        made.ignore_eog, made.logprobs = ignore_eog, logprobs
        return Generation(self._handle, self._prompt(prompt), made)

    def _prompt(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str):
            return self.model.tokenize(prompt)
        items = list(prompt)
        if items and isinstance(items[0], Mapping):
            return self.model.chat_tokens(items)  # type: ignore[arg-type]
        return items  # type: ignore[return-value]

    def close(self) -> None:
        """Frees it as soon as no call uses it."""
        self._handle.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
