"""Upstreams that speak OpenAI's API: OpenAI itself, and whatever is compatible with it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.translation import translator
from meshgate.provider.http_upstream import Api, Endpoint

USER_AGENT = "meshgate"

_SHOWN_HEADERS = (
    ("x-request-id", "x-upstream-request-id"),
    ("openai-processing-ms", "openai-processing-ms"),
    ("openai-version", "openai-version"),
)


def openai_api(
    base_url: str,
    api_key: str,
    headers: Mapping[str, str],
    bound: OutputBound = OutputBound.MAX_TOKENS,
) -> Api:
    """The API of such an upstream.

    Args:
        base_url: With the API's version, without a slash at its end.
        api_key: Empty for an upstream that wants none.
        headers: What the configuration adds, names in lower case; an `authorization` among them
            takes the place of the key.
        bound: How the upstream is told how much it may write, where the caller does not say.
    """
    chat = f"{base_url}/chat/completions"
    own = {"content-type": "application/json", "user-agent": USER_AGENT}
    if api_key:
        own["authorization"] = f"Bearer {api_key}"
    return Api(
        endpoints={
            "openai_chat": Endpoint(chat, translator("openai_chat", "openai_chat", bound)),
            "meshgate_chat": Endpoint(chat, translator("meshgate_chat", "openai_chat", bound)),
            "openai_completions": Endpoint(
                f"{base_url}/completions", translator("openai_completions", "openai_completions")
            ),
            "openai_embeddings": Endpoint(
                f"{base_url}/embeddings", translator("openai_embeddings", "openai_embeddings")
            ),
        },
        headers=tuple({**own, **headers}.items()),
        shown_headers=_SHOWN_HEADERS,
        hidden=_hidden(base_url, api_key, headers),
    )


def _hidden(base_url: str, api_key: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What an upstream may repeat in an error and nobody should read. The longest come first."""
    texts = {api_key, urlsplit(base_url).netloc, *headers.values()}
    return tuple(sorted((text for text in texts if len(text) >= 8), key=len, reverse=True))  # noqa: PLR2004
