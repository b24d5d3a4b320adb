"""Gemini and Claude in Google's cloud.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference and
https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai: both have their own formats,
but for the address, which names the model, and for two members of Claude's body.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import msgspec
from msgspec import Raw

from meshgate.dialects.answers import AnswerStream
from meshgate.dialects.translator import CallerAnswer, Translator, UpstreamRequest
from meshgate.provider.api import Api, Connection, Endpoint, hidden_texts, joined_headers
from meshgate.provider.apis.chat_endpoints import chat_endpoints
from meshgate.provider.credentials.bearer import BearerTokens
from meshgate.provider.credentials.expiring import Expiring
from meshgate.provider.credentials.machine_account import machine_token
from meshgate.provider.credentials.service_account import ServiceAccount, ServiceAccountTokens
from meshgate.provider.upstream import UpstreamClient

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
CLAUDE_VERSION = "vertex-2023-10-16"


@dataclass(frozen=True)
class Publisher:
    """Whose models they are.

    Attributes:
        dialect: What they speak.
        verb: What is asked of a model.
        stream_verb: The same for a stream.
        body: The members that stand in every body, and None for those that must not.
    """

    dialect: str
    verb: str
    stream_verb: str
    body: Mapping[str, str | None]


PUBLISHERS = {
    "google": Publisher("gemini_generate", "generateContent", "streamGenerateContent?alt=sse", {}),
    "anthropic": Publisher(
        "anthropic_messages",
        "rawPredict",
        "streamRawPredict",
        {"model": None, "anthropic_version": CLAUDE_VERSION},
    ),
}


def vertex_api(connection: Connection, make_client: Callable[[], UpstreamClient]) -> Api:
    """The API of a publisher's models in a project.

    Args:
        connection: Its options are `project`, `location`, `publisher`, and `service_account` or
            `metadata_url`.
        make_client: Makes what tokens are fetched with.

    Raises:
        ValueError: The service account cannot be read.
    """
    publisher = PUBLISHERS[connection.options["publisher"]]
    url, stream_url = addresses(connection)
    endpoints = chat_endpoints(publisher.dialect, url, stream_url=stream_url)
    return Api(
        endpoints={name: _reshaped(it, publisher) for name, it in endpoints.items()},
        headers=joined_headers({}, connection.headers),
        hidden=hidden_texts(connection.base_url, connection.headers.values()),
        credentials=_tokens(connection, make_client),
    )


def addresses(connection: Connection) -> tuple[str, str]:
    """Where chats are answered, and where streams are; `{model}` stands for the model."""
    options = connection.options
    publisher = PUBLISHERS[options["publisher"]]
    where = f"projects/{options['project']}/locations/{options['location']}"
    models = f"{connection.base_url}/v1/{where}/publishers/{options['publisher']}/models/{{model}}"
    return f"{models}:{publisher.verb}", f"{models}:{publisher.stream_verb}"


@dataclass(frozen=True)
class Reshaped:
    """A translator whose requests get other members.

    What the members say takes no part in how the answer is read.
    """

    inner: Translator
    members: Mapping[str, str | None]

    def request(
        self, body: bytes, model: str, *, stream: bool, output_cap: int | None = None
    ) -> UpstreamRequest:
        request = self.inner.request(body, model, stream=stream, output_cap=output_cap)
        members = _MEMBERS.decode(request.body)
        for name, value in self.members.items():
            members.pop(name, None)
            if value is not None:
                members[name] = Raw(msgspec.json.encode(value))
        return msgspec.structs.replace(request, body=msgspec.json.encode(members))

    def answer(self, body: bytes, *, created: int) -> CallerAnswer:
        return self.inner.answer(body, created=created)

    def stream(self, *, created: int, include_usage: bool) -> AnswerStream:
        return self.inner.stream(created=created, include_usage=include_usage)


def _reshaped(endpoint: Endpoint, publisher: Publisher) -> Endpoint:
    if not publisher.body:
        return endpoint
    return replace(endpoint, translator=Reshaped(endpoint.translator, publisher.body))


def _tokens(connection: Connection, make_client: Callable[[], UpstreamClient]) -> BearerTokens:
    client, options = make_client(), connection.options
    if "service_account" in options:
        account = ServiceAccount.read(options["service_account"])
        return BearerTokens(client, Expiring(ServiceAccountTokens(client, account).fetch))
    return BearerTokens(client, Expiring(partial(machine_token, options["metadata_url"])))
