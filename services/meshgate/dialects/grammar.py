"""The grammar of neutral event streams: what every reader must produce and every writer may expect.

    Started (TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta)* Finished

The first fragment of a tool call brings its name and an id that no other has, later ones do not, and
calls are numbered from 0 without gaps.
"""

from collections.abc import Iterable

from meshgate.dialects.neutral import ChatEvent, Finished, Started, ToolCallDelta


class GrammarError(Exception):
    """A stream breaks the grammar of its dialect."""


class EventGrammar:
    """Checks one stream, event by event."""

    def __init__(self) -> None:
        self._started = False
        self._finished = False
        self._tool_calls = 0
        self._ids: set[str] = set()

    def check(self, event: ChatEvent) -> None:
        """Take the next event.

        Raises:
            GrammarError: The event may not stand here.
        """
        if self._finished:
            raise GrammarError(f"{type(event).__name__} after Finished")
        if isinstance(event, Started) == self._started:
            raise GrammarError(f"{type(event).__name__} is out of place: Started comes first, once")
        self._started = True
        self._finished = isinstance(event, Finished)
        if isinstance(event, ToolCallDelta):
            self._check_tool_call(event)

    def close(self) -> None:
        """Take the end of the stream.

        Raises:
            GrammarError: The answer is not whole.
        """
        if not self._finished:
            raise GrammarError("the stream ended without Finished")

    def _check_tool_call(self, delta: ToolCallDelta) -> None:
        if delta.index < 0 or delta.index > self._tool_calls:
            raise GrammarError(f"tool call {delta.index} after {self._tool_calls} tool calls")
        if delta.index == self._tool_calls:
            self._tool_calls += 1
            if not (delta.id and delta.name):
                raise GrammarError(f"tool call {delta.index} begins without id and name")
            if delta.id in self._ids:
                raise GrammarError(f"tool call {delta.index} has the id of another one")
            self._ids.add(delta.id)
        elif delta.id or delta.name:
            raise GrammarError(f"tool call {delta.index} is named twice")


def check(events: Iterable[ChatEvent]) -> None:
    """Check a whole stream.

    Raises:
        GrammarError: It breaks the grammar.
    """
    grammar = EventGrammar()
    for event in events:
        grammar.check(event)
    grammar.close()
