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
class Fit:
    """What a model is, and what loading it and one session would take on a device. Sizes in bytes."""

    #: The family, e.g. "llama".
    architecture: str
    #: The name its file gives it; may be empty.
    name: str
    #: The kind of its tokenizer, e.g. "gpt2"; empty if it has none.
    tokenizer: str
    has_chat_template: bool
    #: Elements of all tensors.
    n_parameters: int
    #: Of all tensors in the file.
    tensor_bytes: int
    #: Bits of the file per element.
    bits_per_weight: float
    #: The context length it was trained for, in tokens.
    n_ctx_train: int
    #: Tokens of its vocabulary.
    n_vocab: int
    n_embd: int
    n_layer: int
    weight_bytes: int
    #: Of the session's cache.
    kv_bytes: int
    #: Of the session's activations, logits and tables.
    scratch_bytes: int
    #: What it may take: the argument `memory`, or what the device says it has; None where it does not.
    memory: Optional[int]
    #: The device's largest buffer; None where there is no such limit.
    max_buffer: Optional[int]
    #: Tokens of the session's context, and most of them computed at once.
    n_ctx: int
    n_batch: int
    #: Element type of the cache, e.g. "f16".
    kv: str
    #: The longest context that fits, up to `n_ctx_train` or what was asked for; 0 if none does.
    max_n_ctx: int
    #: Why it does not fit; None if it does.
    problem: Optional[str]

    @property
    def fits(self) -> bool:
        """Whether it fits."""
        return self.problem is None

    @property
    def total_bytes(self) -> int:
        """Everything."""
        return self.weight_bytes + self.kv_bytes + self.scratch_bytes


@dataclass(frozen=True)
class Guess:
    """A guess at a masked token."""

    token: int
    text: str
    probability: float


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
