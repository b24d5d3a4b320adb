"""The endpoints of upstreams that answer all chats in one place."""

from collections.abc import Iterator, Mapping

from meshgate.dialects.translation import CALLER_DIALECTS, UPSTREAM_DIALECTS, translator
from meshgate.dialects.translator import Translator
from meshgate.provider.api import EVENTS, Endpoint
from meshgate.runtime.errors import UnsupportedError


def chat_endpoints(
    dialect: str, url: str, *, stream_url: str = "", stream_media_type: str = EVENTS
) -> Mapping[str, Endpoint]:
    """What answers chats of every caller's dialect at an upstream that speaks `dialect`.

    Nothing where the gateway does not know that dialect. The other arguments are an Endpoint's.
    """
    return {
        caller: Endpoint(url, between, stream_url, stream_media_type)
        for caller, between in _translators(dialect)
    }


def _translators(dialect: str) -> Iterator[tuple[str, Translator]]:
    if dialect not in UPSTREAM_DIALECTS:
        return
    for caller in CALLER_DIALECTS:
        try:
            yield caller, translator(caller, dialect)
        except UnsupportedError:
            continue  # it is told to nobody who speaks another dialect
