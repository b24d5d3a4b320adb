"""The endpoints of upstreams that answer all chats in one place."""

from collections.abc import Mapping

from meshgate.dialects.translation import CALLER_DIALECTS, UPSTREAM_DIALECTS, translator
from meshgate.provider.api import EVENTS, Endpoint

# Not chats: they have places of their own, or none.
_OTHERS = frozenset({"openai_completions"})


def chat_endpoints(
    dialect: str, url: str, *, stream_url: str = "", stream_media_type: str = EVENTS
) -> Mapping[str, Endpoint]:
    """What answers chats of every caller's dialect at an upstream that speaks `dialect`.

    Nothing where the gateway does not know that dialect. The other arguments are an Endpoint's.
    """
    if dialect not in UPSTREAM_DIALECTS:
        return {}
    return {
        caller: Endpoint(url, translator(caller, dialect), stream_url, stream_media_type)
        for caller in CALLER_DIALECTS
        if caller not in _OTHERS
    }
