"""Finds and opens libgabion, and calls it: errors become exceptions, handles are freed after their last use."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
import threading
from array import array
from ctypes import byref, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Optional

from . import _abi
from .errors import InvalidArgument, error

_NAMES = {"win32": "gabion.dll", "darwin": "libgabion.dylib"}


def library_name() -> str:
    """The library's file name on this platform."""
    return _NAMES.get(sys.platform, "libgabion.so")


def _path() -> str:
    """GABION_LIBRARY, else the one in this package, else the system's."""
    given = os.environ.get("GABION_LIBRARY")
    if given:
        return given
    bundled = Path(__file__).parent / "lib" / library_name()
    if bundled.exists():
        return str(bundled)
    found = ctypes.util.find_library("gabion")
    if found:
        return found
    raise ImportError(f"no {library_name()}: it is neither in {bundled.parent} nor installed; set GABION_LIBRARY")


def _open() -> ctypes.CDLL:
    path = _path()
    try:
        opened = ctypes.CDLL(path)
        for name, (result, arguments) in _abi.FUNCTIONS.items():
            function = getattr(opened, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as cause:
        raise ImportError(f"{path} cannot be used as gabion's library: {cause}") from cause
    theirs = opened.gabion_abi_version()
    if theirs != _abi.ABI_VERSION:
        raise ImportError(f"{path} has interface version {theirs}, this package needs {_abi.ABI_VERSION}")
    return opened


lib = _open()


def version() -> str:
    """The version of the library."""
    return lib.gabion_version().decode()


def check(status: int) -> int:
    """Raises if `status` is an error; returns it otherwise."""
    if status < 0:
        raise error(status, lib.gabion_last_error().decode())
    return status


def initial(struct: type[_abi.S], init: Callable[..., int]) -> _abi.S:
    """An options struct with the library's defaults."""
    options = struct()
    check(init(byref(options), ctypes.sizeof(struct)))
    return options


def choice(what: str, name: Optional[str], numbers: Mapping[Optional[str], int]) -> int:
    """The library's number for an option that is one of a few names."""
    if name not in numbers:
        *names, last = map(repr, numbers)
        raise InvalidArgument(f"{what} is {name!r}, not {', '.join(names)} or {last}")
    return numbers[name]


def text_out(call: Callable[..., int]) -> Optional[str]:
    """Text from a function that copies it into a buffer; None where there is no such thing."""
    need = c_size_t()
    if check(call(None, 0, byref(need))) == _abi.NOT_FOUND:
        return None
    buffer = ctypes.create_string_buffer(need.value + 1)
    check(call(buffer, len(buffer), byref(need)))
    return buffer.raw[: need.value].decode()


def ids_out(guess: int, call: Callable[..., int]) -> list[int]:
    """Token ids from a function that copies them into an array; `guess` elements are tried first."""
    need = c_size_t()
    ids = (c_uint32 * guess)()
    if check(call(ids, guess, byref(need))) == _abi.TRUNCATED:
        ids = (c_uint32 * need.value)()
        check(call(ids, need.value, byref(need)))
    return ids[: need.value]


def ids_in(tokens: Iterable[int]) -> tuple[Any, int]:
    """Token ids as an array and its length."""
    try:
        ids = array("I", tokens)
    except (TypeError, OverflowError) as cause:
        raise InvalidArgument(f"token ids are whole numbers from 0 to 2^32 - 1: {cause}") from cause
    return (c_uint32 * len(ids)).from_buffer(ids) if ids else None, len(ids)


class Handle:
    """An object of the library. `with handle as pointer:` keeps it alive for a call; `close` frees it once no call uses it,
    so a close in one thread cannot pull it from under another."""

    def __init__(self, free: Callable[[c_void_p], None]) -> None:
        self._free = free
        self._pointer = c_void_p()
        self._lock = threading.Lock()
        self._users = 0
        self._closed = False

    @classmethod
    def make(cls, free: Callable[[c_void_p], None], call: Callable[[Any], int]) -> Handle:
        """Calls a function that makes an object; the pointer for it is the argument of `call`."""
        handle = cls(free)
        check(call(byref(handle._pointer)))
        return handle

    def __enter__(self) -> c_void_p:
        with self._lock:
            if self._closed:
                raise InvalidArgument("it is closed")
            self._users += 1
        return self._pointer

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            self._free_if_unused()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._free_if_unused()

    def _free_if_unused(self) -> None:
        if self._closed and self._users == 0 and self._pointer:
            self._free(self._pointer)
            self._pointer = c_void_p()

    def __del__(self) -> None:
        self.close()


def user_callback(kind: Any, function: Callable[..., Any]) -> tuple[Any, list[BaseException]]:
    """A C callback over a Python function that may return False to stop. An exception stops as well and is kept in the
    list, to be raised when the call that runs the callback has returned."""
    thrown: list[BaseException] = []

    def call(*args: Any) -> bool:
        try:
            return function(*args[:-1]) is not False
        except BaseException as exception:  # KeyboardInterrupt too: nothing may pass through C
            thrown.append(exception)
            return False

    return kind(call), thrown
