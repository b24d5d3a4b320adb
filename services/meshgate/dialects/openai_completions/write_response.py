"""Writes completions from the neutral form: whole answers, and streams as they come."""

from collections.abc import Iterable

import msgspec

from meshgate.dialects.neutral import ChatEvent, ChatResponse, Finished, Started, Text, TextDelta
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.openai_chat.finish_reason import write_finish_reason
from meshgate.dialects.openai_completions.chunks import DONE, Identity, write_choice, write_usage


def write(response: ChatResponse, *, created: int) -> bytes:
    """Write a whole answer; `created` is in seconds since 1970.

    Raises:
        UnsupportedError: The answer holds something else than text.
    """
    texts = [part.text for part in response.message.parts if isinstance(part, Text)]
    if len(texts) < len(response.message.parts):
        raise unsupported("message.parts")
    choice = {
        "index": 0,
        "text": "".join(texts),
        "logprobs": None,
        "finish_reason": write_finish_reason(response.finish_reason),
    }
    members: dict[str, object] = {
        "id": response.id,
        "object": "text_completion",
        "created": created,
        "model": response.served_model,
        "choices": [choice],
    }
    if response.usage is not None:
        members["usage"] = usage_object.write(response.usage)
    return msgspec.json.encode(members)


class StreamWriter:
    """Writes one streamed answer, ending with `[DONE]`.

    Args:
        created: Seconds since 1970.
        include_usage: Whether the caller wants the usage in a chunk of its own at the end.
    """

    def __init__(self, *, created: int, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._identity = Identity("", "", created)

    def write(self, events: Iterable[ChatEvent]) -> bytes:
        """Write the next events.

        Raises:
            UnsupportedError: One of them is something else than text.
        """
        return b"".join(self._event(event) for event in events)

    def _event(self, event: ChatEvent) -> bytes:
        match event:
            case Started():
                self._identity = Identity(event.id, event.served_model, self._identity.created)
                return write_choice(self._identity, "")
            case TextDelta():
                return write_choice(self._identity, event.text)
            case Finished():
                return self._end(event)
            case _:
                raise unsupported("message.parts")

    def _end(self, event: Finished) -> bytes:
        written = write_choice(self._identity, "", write_finish_reason(event.reason))
        if self._include_usage and event.usage is not None:
            written += write_usage(self._identity, event.usage)
        return written + DONE
