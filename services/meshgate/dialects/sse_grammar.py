"""What the grammars of streams of server-sent events have in common."""

from abc import ABC, abstractmethod

from meshgate.dialects import sse
from meshgate.dialects.grammar import GrammarError


class SseGrammar(ABC):
    """Checks one stream, as bytes, wherever it is split.

    Args:
        events: Reads its events.
    """

    end: str
    """What an answer that is whole ends with."""

    def __init__(self, events: sse.EventReader | None = None) -> None:
        self._events = events or sse.EventReader()
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            GrammarError: They break the grammar.
        """
        for event in self._events.feed(data):
            if self._ended:
                raise GrammarError("an event after the end")
            self._check(event)

    def close(self) -> None:
        """Take the end of the stream.

        Raises:
            GrammarError: The stream is not whole.
        """
        if self._events.pending:
            raise GrammarError("the stream ended within an event")
        if not self._ended:
            raise GrammarError(f"the stream ended without {self.end} and without an error")

    @abstractmethod
    def _check(self, event: sse.Event) -> None:
        """Check an event, and note whether it ends the stream.

        Raises:
            GrammarError: It may not stand here.
        """
