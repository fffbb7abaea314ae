"""`Generation`: a running generation, step by step."""

from __future__ import annotations

from ctypes import byref, string_at
from typing import Iterator, Optional

from . import _abi
from ._library import Handle, check, ids_in, lib
from .types import Piece


class Generation(Iterator[Piece]):
    """An iterator over the steps of a generation. From its first step until it is exhausted or closed its session is busy.
    Leaving a `with` block closes it; so does dropping it."""

    def __init__(self, session: Handle, tokens: list[int], options: _abi.gabion_generate_options) -> None:
        """Use `Session.events`."""
        self._session, self._tokens, self._options = session, ids_in(tokens), options
        self._handle: Optional[Handle] = None
        self._over = False
        self._info = _abi.sized(_abi.gabion_generation_info)

    @property
    def stop_reason(self) -> Optional[str]:
        """Why it ended: "eog", "stop", "length" or "context"; None if it has not, or was closed before."""
        return _abi.STOP_REASONS[self._info.stop_reason]

    @property
    def generated(self) -> int:
        """Tokens generated so far."""
        return self._info.n_generated

    @property
    def reused(self) -> int:
        """Prompt tokens that the session had already computed."""
        return self._info.n_reused

    @property
    def computed(self) -> int:
        """Prompt tokens that were computed."""
        return self._info.n_computed

    def text(self) -> str:
        """All text from here to the end."""
        return "".join(piece.text for piece in self)

    def __next__(self) -> Piece:
        if self._over:
            raise StopIteration
        try:
            piece = self._step()
        except BaseException:
            self.close()
            raise
        if piece is None:
            self.close()
            raise StopIteration
        return piece

    def _step(self) -> Optional[Piece]:
        if self._handle is None:
            self._handle = self._start()
        piece = _abi.sized(_abi.gabion_piece)
        with self._handle as generation:
            status = check(lib.gabion_generation_next(generation, byref(piece)))
            check(lib.gabion_generation_get_info(generation, byref(self._info)))
            return _piece(piece) if status == _abi.OK else None

    def _start(self) -> Handle:
        with self._session as session:
            return Handle.make(
                lib.gabion_generation_free,
                lambda made: lib.gabion_generation_new(session, *self._tokens, byref(self._options), made),
            )

    def close(self) -> None:
        """Ends it and gives the session back; what was generated stays in the session."""
        self._over = True
        if self._handle is not None:
            self._handle.close()

    def __enter__(self) -> Generation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _piece(piece: _abi.gabion_piece) -> Piece:
    token = None if piece.token == _abi.NO_TOKEN else piece.token
    logprob = None if piece.logprob != piece.logprob else piece.logprob  # NaN: not asked for
    top = tuple((piece.top[i].token, piece.top[i].logprob) for i in range(piece.n_top))
    return Piece(string_at(piece.text, piece.text_len).decode(), token, logprob, top)
