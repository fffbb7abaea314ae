"""What calls raise: one class per error code of the C interface."""

from __future__ import annotations


class GabionError(Exception):
    """Any failure of the library. `code` names it, as in JavaScript; `status` is GABION_ERROR_* of the C interface."""

    code, status = "unknown", 0


class InvalidArgument(GabionError, ValueError):
    """An argument is outside what the function documents."""

    code, status = "invalid_argument", -1


class FileError(GabionError):
    """Reading a file failed."""

    code, status = "io", -2


class FormatError(GabionError):
    """The file is not a GGUF file that can be trusted."""

    code, status = "gguf", -3


class Unsupported(GabionError):
    """The file is sound but holds something this version cannot run."""

    code, status = "unsupported", -4


class ModelError(GabionError):
    """The model's tensors or hyperparameters contradict each other."""

    code, status = "model", -5


class TokenizerError(GabionError):
    """The tokenizer's data is missing or broken, or its kind unknown."""

    code, status = "tokenizer", -6


class TemplateError(GabionError):
    """The chat template is missing, failed or exceeded its limits."""

    code, status = "template", -7


class DeviceError(GabionError):
    """No device of that name, or it cannot be used."""

    code, status = "device", -8


class DeviceLost(GabionError):
    """The device was lost. Load the model again; a session's tokens are enough to rebuild it."""

    code, status = "device_lost", -9


class OutOfMemory(GabionError, MemoryError):
    """Memory could not be had; the message says how much."""

    code, status = "out_of_memory", -10


class ContextFull(GabionError):
    """The session's context is full."""

    code, status = "context_full", -11


class Cancelled(GabionError):
    """Cancelled by the caller."""

    code, status = "cancelled", -12


class InternalError(GabionError):
    """A defect in gabion itself. The object that was used refuses to work from then on."""

    code, status = "internal", -13


class Busy(GabionError):
    """The object is in use: by another thread, or by a generator that is neither exhausted nor closed."""

    code, status = "busy", -14


_BY_STATUS = {kind.status: kind for kind in GabionError.__subclasses__()}


def error(status: int, message: str) -> GabionError:
    """The exception of a status; one of a newer library gives a plain GabionError."""
    made = _BY_STATUS.get(status, GabionError)(message)
    made.status = status
    return made
