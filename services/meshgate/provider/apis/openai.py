"""Upstreams that speak OpenAI's API: OpenAI itself, its family, and whatever is compatible with it."""

from collections.abc import Collection

from meshgate.dialects.openai_chat.variant import Variant
from meshgate.dialects.translation import (
    CALLER_DIALECTS,
    UPSTREAM_DIALECTS,
    Translator,
    translator,
)
from meshgate.provider.api import Api, Connection, Endpoint, hidden_texts, joined_headers
from meshgate.runtime.errors import UnsupportedError

_SHOWN_HEADERS = (
    ("x-request-id", "x-upstream-request-id"),
    ("openai-processing-ms", "openai-processing-ms"),
    ("openai-version", "openai-version"),
)
_PATHS = {
    "openai_completions": "completions",
    "openai_embeddings": "embeddings",
}
"""Of the dialects that have a place of their own, if the upstream answers there."""
_EVERYTHING = ("chat", "completions", "embeddings")
_CHATS = {"chat": "openai_chat", "responses": "openai_responses"}
_CHAT_PATHS = {"openai_chat": "chat/completions", "openai_responses": "responses"}
_UNKNOWN = Variant()


def openai_api(
    connection: Connection,
    variant: Variant = _UNKNOWN,
    answers: Collection[str] = _EVERYTHING,
) -> Api:
    """The API of such an upstream.

    Args:
        connection: Its `base_url` is with the API's version. An `authorization` among its headers takes
            the place of the key.
        variant: How its chat completions differ from OpenAI's.
        answers: Where it answers: `chat`, `completions`, `embeddings`, `responses`. Chats of other
            dialects are translated into the first of `chat` and `responses` that it has.
    """
    base_url, api_key = connection.base_url, connection.api_key
    endpoints = {
        dialect: Endpoint(f"{base_url}/{path}", translator(dialect, dialect))
        for dialect, path in _PATHS.items()
        if path in answers
    }
    for dialect in CALLER_DIALECTS.keys() - endpoints.keys():
        endpoints |= _chat(base_url, dialect, variant, answers)
    return Api(
        endpoints=endpoints,
        headers=joined_headers(
            {"authorization": f"Bearer {api_key}"} if api_key else {}, connection.headers
        ),
        shown_headers=_SHOWN_HEADERS,
        hidden=hidden_texts(base_url, (api_key, *connection.headers.values())),
    )


def _chat(
    base_url: str, dialect: str, variant: Variant, answers: Collection[str]
) -> dict[str, Endpoint]:
    """Where a dialect of callers is answered, by way of a chat; nothing where it cannot be."""
    for answer, spoken in _CHATS.items():
        if answer in answers and spoken in UPSTREAM_DIALECTS:
            found = _translator(dialect, spoken, variant)
            if found is not None:
                return {dialect: Endpoint(f"{base_url}/{_CHAT_PATHS[spoken]}", found)}
    return {}


def _translator(dialect: str, spoken: str, variant: Variant) -> Translator | None:
    try:
        return translator(dialect, spoken, variant=variant)
    except UnsupportedError:
        return None
