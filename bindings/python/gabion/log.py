"""Log messages of the library, which is silent until it is given somewhere to send them."""

from __future__ import annotations

from typing import Any, Callable, Optional

from . import _abi
from ._library import check, lib

LEVELS = ("off", "error", "warn", "info", "debug", "trace")

# the callback that the library holds must stay alive
_current: Any = None


def set_log(callback: Optional[Callable[[str, str, str], None]], level: str = "warn") -> None:
    """Sends messages up to `level` to `callback(level, target, message)`; None ends that. The callback runs on any thread
    and must not use gabion; what it raises is dropped."""
    global _current

    def call(number: int, target: bytes, message: bytes, _: object) -> None:
        try:
            callback(LEVELS[number], target.decode(), message.decode())  # type: ignore[misc]
        except Exception:
            pass  # nobody could handle it: the message came from inside some call, perhaps on another thread

    made = _abi.gabion_log_fn(call if callback else 0)
    check(lib.gabion_set_log_callback(made, LEVELS.index(level), None))
    _current = made
