"""Streams of choices on their way through, where caller and upstream speak the same dialect.

Bytes are passed on as they are; only what the gateway must know or change is looked at.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE, decoded
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_choices.chunks import DONE
from meshgate.dialects.openai_choices.error_event import find_error
from meshgate.dialects.openai_choices.finish_reason import read_finish_reason
from meshgate.dialects.upstream_stream import PassedStream


class _Choice(Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None


class _Chunk(Struct, gc=False):
    choices: list[_Choice]
    model: str | None = None
    usage: Raw = Raw()
    service_tier: object = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_NO_USAGE = (b"", b"null")


class StreamTracker(PassedStream):
    """Follows a streamed answer through the gateway.

    The usage is dropped where the caller did not ask for it.

    Args:
        include_usage: Whether the caller asked for the usage.
    """

    def __init__(self, *, include_usage: bool) -> None:
        super().__init__()
        self._include_usage = include_usage
        self._service_tier: object = None
        self._open_choices: set[int] = set()
        self._finished_choices: set[int] = set()

    def _take(self, event: sse.Event, told: list[bytes]) -> None:
        if event.data == b"[DONE]":
            # Where the answer has not ended, this is a cut that must not look complete.
            if self._is_whole():
                self._end(told)
            return
        self.error = find_error(event)
        if self.error is None and self._is_for_caller(event):
            told.append(self._written(event))

    def _end(self, told: list[bytes]) -> None:
        self.done = True
        told.append(DONE)

    def _is_whole(self) -> bool:
        return bool(self._finished_choices) and not self._open_choices

    def _is_ordinary(self, data: bytes) -> bool:
        """Tell whether all of a read can be passed on as it is: whole chunks, nothing special.

        Special is what changes the state of the answer: an end, an error, usage, a new choice.
        """
        ends = data.count(b"\n\n")
        if not (
            data.startswith(b"data: {")
            and data.endswith(b"}\n\n")
            and data.count(b"\n") == 2 * ends
            and b'"error"' not in data
            and b"\r" not in data
            and _is_text(data)
        ):
            return False
        if ends == 1:
            return self._goes_on(data[6:-2])
        events = data[:-2].split(b"\n\n")
        return all(event.startswith(b"data: ") and self._goes_on(event[6:]) for event in events)

    def _goes_on(self, data: bytes) -> bool:
        """Tell whether a chunk only adds to choices that are open."""
        try:
            chunk = _CHUNK.decode(data)
        except UNREADABLE:
            return False
        for choice in chunk.choices:
            if choice.finish_reason or choice.index not in self._open_choices:
                return False
        return bool(chunk.choices) and bytes(chunk.usage) in _NO_USAGE

    def _written(self, event: sse.Event) -> bytes:
        """The event as it is passed on."""
        return sse.write(event)

    def _is_for_caller(self, event: sse.Event) -> bool:
        """Note what a chunk tells, and return whether the caller wants it."""
        chunk = decoded(_CHUNK, event.data, "an event of the upstream's stream is no chunk")
        self.started = True
        self.served_model = self.served_model or chunk.model or ""
        self._service_tier = chunk.service_tier or self._service_tier
        usage = usage_object.read(chunk.usage, self._service_tier)
        if usage is not None:
            self.usage = usage
        for choice in chunk.choices:
            self._note(choice)
        return bool(chunk.choices) or usage is None or self._include_usage

    def _note(self, choice: _Choice) -> None:
        if not choice.finish_reason:
            if choice.index not in self._finished_choices:
                self._open_choices.add(choice.index)
            return
        if not self._finished_choices:
            self.finish_reason = read_finish_reason(choice.finish_reason)
        self._finished_choices.add(choice.index)
        self._open_choices.discard(choice.index)


def _is_text(data: bytes) -> bool:
    """Tell whether it is UTF-8, which the decoder does not look at where it skips."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
