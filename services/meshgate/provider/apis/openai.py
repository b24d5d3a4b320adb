"""Upstreams that speak OpenAI's API: OpenAI itself, its family, and whatever is compatible with it."""

from collections.abc import Iterable, Sequence

from meshgate.dialects.openai_chat.variant import Variant
from meshgate.dialects.translation import CALLER_DIALECTS, translator
from meshgate.dialects.translator import Translator
from meshgate.provider.api import Api, Connection, Endpoint, hidden_texts, joined_headers
from meshgate.provider.apis.media import media_endpoints
from meshgate.runtime.errors import UnsupportedError

_SHOWN_HEADERS = (
    ("x-request-id", "x-upstream-request-id"),
    ("openai-processing-ms", "openai-processing-ms"),
    ("openai-version", "openai-version"),
)
_PATHS = {
    "chat": "chat/completions",
    "responses": "responses",
    "completions": "completions",
    "embeddings": "embeddings",
}
EVERYTHING = ("chat", "responses", "completions", "embeddings")
"""What OpenAI itself answers."""
_USUAL = ("chat", "completions", "embeddings")
_CALLERS = (*CALLER_DIALECTS, "openai_embeddings", "gemini_embeddings")
_UNKNOWN = Variant()


def openai_api(
    connection: Connection, variant: Variant = _UNKNOWN, answers: Sequence[str] = _USUAL
) -> Api:
    """The API of such an upstream.

    Args:
        connection: Its `base_url` is with the API's version. An `authorization` among its headers takes
            the place of the key.
        variant: How its chat completions differ from OpenAI's.
        answers: Where it answers: `chat`, `responses`, `completions`, `embeddings`. What comes in another
            dialect is translated into the first of them that can say it.
    """
    base_url, api_key = connection.base_url, connection.api_key
    answers = _preferred(connection, answers)
    return Api(
        endpoints=media_endpoints(base_url)
        | {
            dialect: endpoint
            for dialect in _CALLERS
            if (endpoint := _endpoint(base_url, dialect, variant, answers)) is not None
        },
        headers=joined_headers(
            {"authorization": f"Bearer {api_key}"} if api_key else {}, connection.headers
        ),
        shown_headers=_SHOWN_HEADERS,
        hidden=hidden_texts(base_url, (api_key, *connection.headers.values())),
    )


def _preferred(connection: Connection, answers: Sequence[str]) -> Sequence[str]:
    """The answers in the order in which they are to be tried, as the configuration says."""
    if connection.options.get("api") == "responses":
        return ("responses", *(answer for answer in answers if answer not in ("chat", "responses")))
    if connection.options.get("responses") == "true":
        return (*answers, "responses")
    return answers


def _endpoint(
    base_url: str, dialect: str, variant: Variant, answers: Sequence[str]
) -> Endpoint | None:
    """Where a dialect of callers is answered: as it is, if that can be; None where it cannot be at all."""
    for answer in _own_first(dialect, answers):
        found = _translator(dialect, f"openai_{answer}", variant)
        if found is not None:
            return Endpoint(f"{base_url}/{_PATHS[answer]}", found)
    return None


def _own_first(dialect: str, answers: Sequence[str]) -> Iterable[str]:
    return sorted(answers, key=lambda answer: f"openai_{answer}" != dialect)


def _translator(dialect: str, spoken: str, variant: Variant) -> Translator | None:
    try:
        return translator(dialect, spoken, variant=variant)
    except UnsupportedError:
        return None
