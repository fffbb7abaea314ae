"""`Chat`: a conversation that remembers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator, Optional

from .types import Message

if TYPE_CHECKING:
    from .session import Session


class Chat:
    """A conversation over a session. Each turn computes only what is new."""

    def __init__(self, session: Session, system: Optional[str] = None) -> None:
        """`system` is the first message, which tells the model how to behave."""
        self.session = session
        #: The conversation so far; may be changed between turns.
        self.messages: list[Message] = []
        if system is not None:
            self.messages.append({"role": "system", "content": system})

    def send(self, text: str, **options: Any) -> Iterator[str]:
        """Asks, and yields the answer as it comes; options as for `Session.events`. What came of the answer, all of it or
        what came before an error or a break, is remembered."""
        self.messages.append({"role": "user", "content": text})
        answer: list[str] = []
        try:
            for piece in self.session.generate(self.messages, **options):
                answer.append(piece)
                yield piece
        finally:
            self.messages.append({"role": "assistant", "content": "".join(answer)})

    def close(self) -> None:
        """Frees its session."""
        self.session.close()

    def __enter__(self) -> Chat:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
