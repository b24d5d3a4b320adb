"""Tool calls that come side by side, put one after the other.

Some upstreams send fragments of several calls by turns. Anthropic's clients know one block at a time:
what comes for a later call, or after it, waits until the earlier one is whole, which its arguments
show, as they are JSON. What comes in order never waits.
"""

import re
from collections import deque
from collections.abc import Iterator

from meshgate.dialects.answer_parts import text_bytes
from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.neutral import ChatEvent, CitationDelta, Finished, ToolCallDelta

MOST_WAITING_BYTES = 4 * 1024 * 1024
# What an event counts beside its text: many small ones take time whenever a call has become whole.
_EVENT_BYTES = 1024
_IN_STRING = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["{}\[\]]')


class CallOrder:
    """Orders the events of one stream.

    Args:
        most_waiting_bytes: How much text may wait.
    """

    def __init__(self, most_waiting_bytes: int = MOST_WAITING_BYTES) -> None:
        self._most_waiting_bytes = most_waiting_bytes
        self._waiting: deque[ChatEvent] = deque()
        self._waiting_bytes = 0
        self._call: int | None = None
        self._past: set[int] = set()
        self._json = JsonEnd()

    def take(self, event: ChatEvent) -> Iterator[ChatEvent]:
        """The events that may be written now.

        Raises:
            MalformedAnswerError: Too much waits, or a call goes on that was whole.
        """
        if isinstance(event, Finished):
            yield from self._rest()
            yield event
        elif self._must_wait(event):
            self._wait(event)
        else:
            yield from self._passed(event)
            if self._waiting and self._json.is_whole:
                yield from self._again()

    def _must_wait(self, event: ChatEvent) -> bool:
        if self._call is None or self._call == _call_of(event):
            return False
        return bool(self._waiting) or not self._json.is_whole

    def _passed(self, event: ChatEvent) -> Iterator[ChatEvent]:
        call = _call_of(event)
        if call != self._call:
            if self._call is not None:
                self._past.add(self._call)
            self._call, self._json = call, JsonEnd()
        if isinstance(event, ToolCallDelta):
            if event.index in self._past:
                self._call = None
                if event.arguments_fragment.strip():
                    raise MalformedAnswerError("a tool call of the upstream goes on after its end")
                return
            self._json.take(event.arguments_fragment)
        yield event

    def _wait(self, event: ChatEvent) -> None:
        self._waiting.append(event)
        self._waiting_bytes += _size(event)
        if self._waiting_bytes > self._most_waiting_bytes:
            raise MalformedAnswerError("tool calls of the upstream come in a tangle")

    def _again(self) -> Iterator[ChatEvent]:
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        for event in waiting:
            yield from self.take(event)

    def _rest(self) -> Iterator[ChatEvent]:
        """What waits, at the end, call by call: none will become whole any more."""
        while self._waiting:
            call = _call_of(self._waiting[0])
            if call is None:
                yield from self._passed(self._waiting.popleft())
                continue
            waiting, self._waiting = self._waiting, deque()
            for event in waiting:
                if _call_of(event) == call:
                    yield from self._passed(event)
                else:
                    self._waiting.append(event)


class JsonEnd:
    """Watches for the end of a JSON object that comes in pieces."""

    def __init__(self) -> None:
        self.is_whole = False
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    def take(self, text: str) -> None:
        """Take the next piece."""
        at = 1 if self._is_escaped and text else 0
        self._is_escaped = self._is_escaped and not text
        while (found := (_IN_STRING if self._in_string else _OUTSIDE).search(text, at)) is not None:
            at = found.end()
            if found[0] == "\\":
                self._is_escaped = at == len(text)
                at += 1
            else:
                self._note(found[0])

    def _note(self, sign: str) -> None:
        if sign == '"':
            self._in_string = not self._in_string
        elif sign in "{[":
            self._depth += 1
        else:
            self._depth -= 1
            self.is_whole = self.is_whole or self._depth <= 0


def _call_of(event: ChatEvent) -> int | None:
    return event.index if isinstance(event, ToolCallDelta) else None


def _size(event: ChatEvent) -> int:
    if isinstance(event, ToolCallDelta):
        return _EVENT_BYTES + text_bytes(event.arguments_fragment)
    if isinstance(event, CitationDelta):
        return _EVENT_BYTES + text_bytes(event.citation.quoted)
    return _EVENT_BYTES + text_bytes(getattr(event, "text", ""))
