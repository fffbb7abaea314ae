"""The plain values of the interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Sequence, TypedDict, Union


class Message(TypedDict):
    """One message of a conversation: {"role": "system" | "user" | "assistant" | ..., "content": text}."""

    role: str
    content: str


#: A plain text, a conversation for the model's chat template, or token ids.
Prompt = Union[str, Sequence[Mapping[str, str]], Sequence[int]]


@dataclass(frozen=True)
class DeviceInfo:
    """What a device is."""

    #: "cpu", "gpu", or "software": a GPU interface that computes on the CPU.
    kind: str
    name: str
    #: "cpu", "vulkan", "metal" or "dx12".
    backend: str
    driver: str
    #: Threads that compute; 0 on a GPU.
    threads: int


@dataclass(frozen=True)
class ModelInfo:
    """What a model is."""

    #: The family, e.g. "llama".
    architecture: str
    #: The name its file gives it; may be empty.
    name: str
    #: One line for people.
    description: str
    #: The number of logits.
    n_vocab: int
    #: The context length it was trained for, in tokens.
    n_ctx_train: int
    n_embd: int
    n_layer: int
    #: Bytes of weights on the device.
    weight_bytes: int
    has_tokenizer: bool
    has_chat_template: bool


@dataclass(frozen=True)
class Synced:
    """What `Session.sync` did, in tokens."""

    reused: int
    computed: int


@dataclass(frozen=True)
class Piece:
    """One step of a generation."""

    #: Text that is certain now: whole characters, no part of a stop string. May be empty.
    text: str
    #: The token of this step; None in a last piece that only brings held-back text.
    token: Optional[int]
    #: Its log-probability under the model, before sampling options; None unless `logprobs` were asked for.
    logprob: Optional[float]
    #: The most likely tokens with their log-probabilities, as many as `logprobs` asked for.
    top: tuple[tuple[int, float], ...]
