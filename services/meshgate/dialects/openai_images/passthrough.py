"""Pictures on their way through."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from meshgate.dialects.answers import UNREADABLE, AnswerGlance, MalformedAnswerError
from meshgate.dialects.media_stream import EVENT_LIMIT_BYTES, EventTracker
from meshgate.dialects.media_usage import read_images
from meshgate.dialects.neutral import FinishReason, Usage

_ENDS = frozenset({"image_generation.completed", "image_edit.completed"})


class _Answer(Struct, gc=False):
    data: Annotated[list[Raw], Meta(min_length=1)]
    usage: Raw = Raw()
    quality: object = None
    size: object = None


class _Event(Struct, gc=False):
    usage: Raw = Raw()
    quality: object = None
    size: object = None


_ANSWER = msgspec.json.Decoder(_Answer)
_EVENT = msgspec.json.Decoder(_Event)


def glance(body: bytes) -> AnswerGlance:
    """Look at an answer; its pictures are counted, and not looked at.

    Raises:
        MalformedAnswerError: It holds none.
    """
    try:
        answer = _ANSWER.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer holds no pictures") from error
    usage = _usage(answer.usage, len(answer.data), answer.quality, answer.size)
    return AnswerGlance("", usage, FinishReason.UNSPECIFIED)


def stream(_has_events: bool) -> EventTracker:  # noqa: FBT001
    """Follow a stream of pictures, which has an end for each."""
    return EventTracker(_ENDS, _event_usage, limit_bytes=EVENT_LIMIT_BYTES, is_repeated=True)


def _event_usage(data: bytes) -> Usage | None:
    try:
        event = _EVENT.decode(data)
    except UNREADABLE:
        return None
    return _usage(event.usage, 1, event.quality, event.size)


def _usage(raw: Raw, count: int, quality: object, size: object) -> Usage:
    usage = read_images(raw) or Usage()
    tier = f"{quality}-{size}".lower() if isinstance(quality, str) and size else ""
    return replace(usage, images=count, service_tier=tier[:64])
