"""Streams of choices on their way through, where caller and upstream speak the same dialect.

Bytes are passed on as they are; only what the gateway must know or change is looked at.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import CutStreamError, MalformedAnswerError, UpstreamErrorEvent
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_choices.chunks import DONE
from meshgate.dialects.openai_choices.error_event import find_error
from meshgate.dialects.openai_choices.finish_reason import read_finish_reason


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
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class StreamTracker:
    """Follows a streamed answer through the gateway.

    Whole events are passed on untouched as they come; a partial one is kept back. Comments are
    dropped, and so is the usage where the caller did not ask for it. An error event of the
    upstream is not passed on: it stands in `error`, and nothing is passed on after it.

    Args:
        include_usage: Whether the caller asked for the usage.
    """

    def __init__(self, *, include_usage: bool) -> None:
        self.started = False
        self.done = False
        self.served_model = ""
        self.usage: Usage | None = None
        self.finish_reason = FinishReason.UNSPECIFIED
        self.error: UpstreamErrorEvent | None = None
        self._include_usage = include_usage
        self._events = sse.EventReader()
        self._service_tier: object = None
        self._open_choices: set[int] = set()
        self._finished_choices: set[int] = set()

    def feed(self, data: bytes) -> bytes:
        """Take what one read brought and return the whole events to pass on, maybe none.

        Raises:
            MalformedAnswerError: The upstream said what cannot be understood.
        """
        if self.done or self.error is not None:
            return b""
        if self.started and not self._events.pending and self._is_ordinary(data):
            return data
        return self._pass_on(self._events.feed(data))

    def close(self) -> bytes:
        """Take the upstream's end and return what the caller is still owed.

        Raises:
            CutStreamError: The answer is not whole.
        """
        if self.done or self.error is not None:
            return b""
        try:
            owed = self._pass_on(self._events.close())
        except MalformedAnswerError as error:
            raise CutStreamError("the stream ended within an event") from error
        if self.done or self.error is not None:
            return owed
        if not self._is_finished:
            raise CutStreamError("the stream ended before the answer did")
        self.done = True
        return owed + DONE

    @property
    def _is_finished(self) -> bool:
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
        except _UNREADABLE:
            return False
        for choice in chunk.choices:
            if choice.finish_reason or choice.index not in self._open_choices:
                return False
        return bool(chunk.choices) and bytes(chunk.usage) in _NO_USAGE

    def _pass_on(self, events: list[sse.Event]) -> bytes:
        passed = []
        for event in events:
            if event.data == b"[DONE]":
                # Where the answer has not ended, this is a cut that must not look complete.
                if self._is_finished:
                    self.done = True
                    passed.append(DONE)
                    break
                continue
            self.error = find_error(event)
            if self.error is not None:
                break
            if self._is_for_caller(event):
                passed.append(self._written(event))
        return b"".join(passed)

    def _written(self, event: sse.Event) -> bytes:
        """The event as it is passed on."""
        return sse.write(event)

    def _is_for_caller(self, event: sse.Event) -> bool:
        """Note what a chunk tells, and return whether the caller wants it."""
        if not _is_text(event.data):
            raise MalformedAnswerError("an event of the upstream's stream is not UTF-8")
        try:
            chunk = _CHUNK.decode(event.data)
        except _UNREADABLE as error:
            raise MalformedAnswerError("an event of the upstream's stream is no chunk") from error
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
