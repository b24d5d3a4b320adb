"""Errors that an upstream reports inside a stream."""

import msgspec

from meshgate.dialects.answers import UNREADABLE, UpstreamErrorEvent
from meshgate.dialects.openai_api.errors import detail_of
from meshgate.dialects.sse import Event


def find_error(event: Event) -> UpstreamErrorEvent | None:
    """Return the error that an event reports, if it reports one.

    It is an object with an `error` that is not null, or an event of that name.
    """
    named = event.name == b"error"
    if not named and b'"error"' not in event.data:
        return None
    try:
        answer = msgspec.json.decode(event.data)
    except UNREADABLE:
        answer = None
    reported = isinstance(answer, dict) and answer.get("error")
    if not named and not reported:
        return None
    detail = detail_of(answer)
    return UpstreamErrorEvent(
        message=detail.message or "the upstream reported an error",
        type=detail.type,
        code=detail.code,
        param=detail.param,
    )
