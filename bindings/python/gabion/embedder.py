"""`Embedder`: whole texts through an encoder: vectors, scores, masked words."""

from __future__ import annotations

from array import array
from ctypes import byref, c_float, c_size_t
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence, Union

from . import _abi
from ._library import Handle, check, choice, ids_in, initial, lib, text_out
from .errors import InvalidArgument
from .types import Guess

if TYPE_CHECKING:
    from .model import Model

_POOLING_NAMES = {number: name for name, number in _abi.POOLINGS.items()}


class Embedder:
    """Runs whole texts, several in one pass, without padding. One thread at a time, or Busy is raised; `cancel` from any thread.
    Free it with `close` or a `with` block."""

    def __init__(
        self,
        model: Model,
        *,
        max_tokens: int = 0,
        batch_tokens: int = 0,
        dimensions: int = 0,
        pooling: Optional[str] = None,
        normalize: bool = True,
        truncate: bool = False,
        query_prefix: str = "",
        document_prefix: str = "",
    ) -> None:
        """Use `Model.embedder`."""
        options = initial(_abi.gabion_embedder_options, lib.gabion_embedder_options_init)
        options.max_tokens, options.batch_tokens, options.dimensions = max_tokens, batch_tokens, dimensions
        options.pooling = choice("pooling", pooling, _abi.POOLINGS)
        options.normalize, options.truncate = normalize, truncate
        query, document = query_prefix.encode(), document_prefix.encode()
        options.query_prefix, options.query_prefix_len = query, len(query)
        options.document_prefix, options.document_prefix_len = document, len(document)
        #: The model it runs.
        self.model = model
        with model._handle as pointer:
            self._handle = Handle.make(
                lib.gabion_embedder_free, lambda made: lib.gabion_embedder_new(pointer, byref(options), made)
            )
        info = self._info()
        #: What the model is for: "embed", "score" or "fill".
        self.task = _abi.TASKS[info.task]
        #: How tokens' states become a vector: "none", "mean", "cls" or "last".
        self.pooling = _POOLING_NAMES[info.pooling]
        #: Numbers of a vector; with pooling "none", of each token's.
        self.dimensions: int = info.dimensions
        #: Tokens of the longest text, and most tokens that go through the model at once.
        self.max_tokens: int = info.max_tokens
        self.batch_tokens: int = info.batch_tokens
        #: Scores of a text; 0 where the model gives none.
        self.n_scores: int = info.n_scores
        #: Bytes of activations on the device.
        self.bytes: int = info.bytes
        #: The names of a classifier's scores; empty where the file has none.
        self.labels = self._labels()

    def embed(self, texts: Sequence[str], *, kind: str = "plain") -> list[array[float]]:
        """A vector of `dimensions` float32 for each text, in order; `numpy.array` takes the list as a matrix. With pooling "none" a
        vector holds those of all tokens, one after another.

        kind: "plain", or "query" or "document" for the embedder's prefixes."""
        number, list_ = choice("kind", kind, _abi.TEXT_KINDS), _texts(texts)
        if self.pooling != "none":
            return self._rows(self.dimensions, len(list_), lambda e, *out: lib.gabion_embedder_embed(e, *_in(list_), number, *out))
        if not list_:
            raise InvalidArgument("no texts")
        one = lambda text: self._floats(  # noqa: E731
            self.max_tokens * self.dimensions, lambda e, *out: lib.gabion_embedder_embed(e, *_in([text]), number, *out)
        )
        return [one(text) for text in list_]

    def embed_tokens(self, tokens: Sequence[int]) -> array[float]:
        """The vector of one text that is given as token ids, special ones included."""
        ids = ids_in(tokens)
        room = self.dimensions * (len(tokens) if self.pooling == "none" else 1)
        return self._floats(room, lambda e, *out: lib.gabion_embedder_embed_tokens(e, *ids, *out))

    def rerank(self, query: str, documents: Sequence[str]) -> list[float]:
        """How well each document answers the query: higher is better. The numbers are the model's logits, or of a model that says
        yes or no (Qwen3-Reranker) the probability of yes."""
        raw, list_ = query.encode(), _texts(documents)
        scores = (c_float * max(len(list_), 1))()
        with self._handle as embedder:
            check(lib.gabion_embedder_rerank(embedder, raw, len(raw), *_in(list_), scores))
        return scores[: len(list_)]

    def classify(self, texts: Sequence[Union[str, tuple[str, str]]]) -> list[array[float]]:
        """A classifier's logits of each text, or of each pair of texts: as many as `n_scores`."""
        pairs = [text for text in texts if not isinstance(text, str)]
        if pairs and len(pairs) != len(texts):
            raise InvalidArgument("texts and pairs cannot be mixed")
        firsts = _texts([first for first, _ in pairs] if pairs else texts)  # type: ignore[arg-type]
        seconds = _in(_texts([second for _, second in pairs]))[0] if pairs else None
        array_, count = _in(firsts)
        return self._rows(
            self.n_scores, count, lambda e, *out: lib.gabion_embedder_classify(e, array_, seconds, count, *out)
        )

    def fill_mask(self, text: str, *, top: int = 5) -> list[list[Guess]]:
        """For each mask ("[MASK]") of a text the `top` likeliest tokens, best first."""
        raw, need = text.encode(), c_size_t()
        guesses = (_abi.gabion_guess * 64)()
        call = lambda e: lib.gabion_embedder_fill_mask(  # noqa: E731
            e, raw, len(raw), max(top, 0), guesses, len(guesses), byref(need)
        )
        with self._handle as embedder:
            while check(call(embedder)) == _abi.TRUNCATED:
                guesses = (_abi.gabion_guess * need.value)()
        masks: list[list[Guess]] = []
        for it in guesses[: need.value]:
            while len(masks) <= it.mask:
                masks.append([])
            masks[it.mask].append(Guess(it.token, self.model.token_text(it.token), it.probability))
        return masks

    def cancel(self) -> None:
        """Stops the call that runs in another thread, which raises Cancelled. A request that comes when nothing runs is
        dropped."""
        with self._handle as embedder:
            lib.gabion_embedder_cancel(embedder)

    def _info(self) -> _abi.gabion_embedder_info:
        info = _abi.sized(_abi.gabion_embedder_info)
        with self._handle as embedder:
            check(lib.gabion_embedder_get_info(embedder, byref(info)))
        return info

    def _labels(self) -> list[str]:
        found: list[str] = []
        with self._handle as embedder:
            while True:
                label = text_out(lambda *out: lib.gabion_embedder_label(embedder, len(found), *out))
                if label is None:
                    return found
                found.append(label)

    def _floats(self, room: int, call: Callable[..., int]) -> array[float]:
        """What a call writes into an array with room for so many numbers."""
        need = c_size_t()
        made = array("f", bytes(4 * max(room, 1)))
        with self._handle as embedder:
            check(call(embedder, (c_float * len(made)).from_buffer(made), room, byref(need)))
        return made[: need.value]

    def _rows(self, width: int, count: int, call: Callable[..., int]) -> list[array[float]]:
        made = self._floats(width * count, call)
        return [made[i * width : (i + 1) * width] for i in range(count)]

    def close(self) -> None:
        """Frees it as soon as no call uses it."""
        self._handle.close()

    def __enter__(self) -> Embedder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _texts(texts: Sequence[str]) -> list[bytes]:
    if isinstance(texts, str):
        raise InvalidArgument("texts are a list of str; a single str is not")
    return [text.encode() for text in texts]


def _in(texts: list[bytes]) -> tuple[Any, int]:
    """Texts as the library's array, and its length."""
    return (_abi.gabion_string * len(texts))(*[_abi.gabion_string(text, len(text)) for text in texts]), len(texts)
