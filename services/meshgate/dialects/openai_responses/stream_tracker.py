"""Streamed responses on their way through, where caller and upstream both speak this dialect."""

import msgspec
from msgspec import Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.openai_responses import usage as usage_object
from meshgate.dialects.openai_responses import wire
from meshgate.dialects.openai_responses.bounds import EVENT_LIMIT_BYTES
from meshgate.dialects.openai_responses.read_response import failed_usage, finish_reason
from meshgate.dialects.upstream_stream import PassedStream


class _Event(Struct):
    response: wire.Response


_EVENT = msgspec.json.Decoder(_Event)
_ORDINARY = b"event: response."
_MORE = b".delta\ndata: {"
_SPECIAL = wire.CREATED | wire.ENDS | wire.FAILURES


class StreamTracker(PassedStream):
    """Follows a streamed answer through the gateway.

    What says only that a response was created is kept back until the model says something: so long
    another upstream can be asked, should this one fail.
    """

    def __init__(self) -> None:
        super().__init__(EVENT_LIMIT_BYTES)
        self._held: list[bytes] = []
        self._bytes_left = EVENT_LIMIT_BYTES

    def _take(self, event: sse.Event, told: list[bytes]) -> None:
        if event.data == b"[DONE]":  # not of this API, but some servers send it after the end
            return
        event_type = wire.type_of(event.data, event.name)
        if event_type in wire.FAILURES:
            self.error = wire.error_in(event_type, event.data)
            self.usage = failed_usage(event.data)
            return
        self._note(event_type, event)
        if self.started:
            told += [*self._held, sse.write(event)]
            self._held = []

    def _note(self, event_type: str, event: sse.Event) -> None:
        if event_type not in _SPECIAL:
            self.started = True
            return
        response = wire.decoded(_EVENT, event.data).response
        self.served_model = response.model or self.served_model
        if event_type in wire.ENDS:
            self.started = self.done = True
            self.usage = usage_object.read(response.usage, response.service_tier)
            self.finish_reason = finish_reason(response)
        elif not self.started:
            self._hold(sse.write(event))

    def _hold(self, event: bytes) -> None:
        self._held.append(event)
        self._bytes_left -= len(event)
        if self._bytes_left < 0:
            raise MalformedAnswerError("the upstream says too often that it begins")

    def _is_ordinary(self, data: bytes) -> bool:
        if not (data.startswith(_ORDINARY) and data.endswith(b"}\n\n") and b"\r" not in data):
            return False
        return all(map(_adds, data[:-2].split(b"\n\n")))


def _adds(block: bytes) -> bool:
    name, found, _ = block.partition(_MORE)
    if not (found and name.startswith(_ORDINARY) and block.count(b"\n") == 1):
        return False
    event = block[len(name) + len(_MORE) - 1 :]
    try:
        return wire.type_of(event).endswith(".delta")
    except MalformedAnswerError:
        return False
