"""The grammar of Cohere's streams, for tests: what the fake upstream must keep to.

    message-start (content-start content-delta* content-end | tool-plan-delta
        | tool-call-start tool-call-delta* tool-call-end | citation-start citation-end)* message-end

Citations may also stand within a content. `[DONE]` may follow.
"""

import msgspec

from meshgate.dialects import sse
from meshgate.dialects.grammar import GrammarError

_OPENS = {"content-start": "content", "tool-call-start": "tool-call"}
_WITHIN = {"content-delta": "content", "tool-call-delta": "tool-call"}
_CLOSES = {"content-end": "content", "tool-call-end": "tool-call"}
_ANYWHERE = {"tool-plan-delta", "citation-start", "citation-end", "debug"}


class _Event(msgspec.Struct):
    type: str


class CohereGrammar:
    """Checks one stream, event by event."""

    def __init__(self) -> None:
        self._begun = False
        self._ended = False
        self._open = ""

    def check(self, event: sse.Event) -> None:
        """Take the next event.

        Raises:
            GrammarError: It may not stand here.
        """
        if event.data == b"[DONE]" and self._ended:
            return
        kind = msgspec.json.decode(event.data, type=_Event).type
        if self._ended or (kind == "message-start") == self._begun:
            raise GrammarError(f"{kind} is out of place")
        self._begun = True
        if kind in _OPENS:
            self._expect("", kind)
            self._open = _OPENS[kind]
        elif kind in _WITHIN:
            self._expect(_WITHIN[kind], kind)
        elif kind in _CLOSES:
            self._expect(_CLOSES[kind], kind)
            self._open = ""
        elif kind == "message-end":
            self._expect("", kind)
            self._ended = True
        elif kind not in _ANYWHERE | {"message-start"}:
            raise GrammarError(f"there is no event {kind}")

    def close(self) -> None:
        """Take the end of the stream.

        Raises:
            GrammarError: The answer is not whole.
        """
        if not self._ended:
            raise GrammarError("the stream ended without message-end")

    def _expect(self, wanted: str, kind: str) -> None:
        if self._open != wanted:
            raise GrammarError(f"{kind} within {self._open or 'nothing'}")


def check(body: bytes) -> None:
    """Check a whole stream.

    Raises:
        GrammarError: It breaks the grammar.
    """
    reader, grammar = sse.EventReader(), CohereGrammar()
    for event in reader.feed(body):
        grammar.check(event)
    if reader.pending:
        raise GrammarError("the stream ended within an event")
    grammar.close()
