"""gabion: quantized GGUF language models on the CPU and on any GPU.

    import gabion

    with gabion.Model("model.gguf") as model, model.session() as session:
        for text in session.generate([{"role": "user", "content": "Why is the sky blue?"}]):
            print(text, end="", flush=True)

A Model is immutable and may be used from several threads. A Session is one timeline of tokens, an Embedder makes vectors or
scores of whole texts; each is used by one thread at a time, and its `cancel` may be called from any. Everything here is one of these, or a plain value.
"""

from ._library import version
from .chat import Chat
from .embedder import Embedder
from .errors import (
    Busy,
    Cancelled,
    ContextFull,
    DeviceError,
    DeviceLost,
    FileError,
    FormatError,
    GabionError,
    InternalError,
    InvalidArgument,
    ModelError,
    OutOfMemory,
    TemplateError,
    TokenizerError,
    Unsupported,
)
from .fit import fit
from .generation import Generation
from .log import set_log
from .model import Model, devices
from .session import Session
from .types import DeviceInfo, Fit, Guess, Message, ModelInfo, Piece, Prompt, Synced

__version__ = version()

__all__ = [
    "Busy",
    "Cancelled",
    "Chat",
    "ContextFull",
    "DeviceError",
    "DeviceInfo",
    "DeviceLost",
    "Embedder",
    "FileError",
    "Fit",
    "FormatError",
    "GabionError",
    "Generation",
    "Guess",
    "InternalError",
    "InvalidArgument",
    "Message",
    "Model",
    "ModelError",
    "ModelInfo",
    "OutOfMemory",
    "Piece",
    "Prompt",
    "Session",
    "Synced",
    "TemplateError",
    "TokenizerError",
    "Unsupported",
    "devices",
    "fit",
    "set_log",
    "version",
]
