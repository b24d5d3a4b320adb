"""The API of an upstream: where it answers what, and how the gateway proves itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import quote, urlsplit

from msgspec import Struct

from meshgate.dialects.translation import ChatTranslation
from meshgate.dialects.translator import Translator

Headers = tuple[tuple[str, str], ...]

USER_AGENT = "meshgate"
EVENTS = "text/event-stream"

_SHORTEST_SECRET = 8


class Connection(Struct, frozen=True):
    """How a provider is reached, with its secrets.

    Attributes:
        kind: The kind of provider, as in the configuration.
        base_url: Without a slash at its end.
        api_key: Empty where there is none.
        headers: What the configuration adds, names in lower case.
        options: What else is particular to the kind, secrets among it.
    """

    kind: str
    base_url: str
    api_key: str = ""
    headers: Mapping[str, str] = {}
    options: Mapping[str, str] = {}

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Connection(kind={self.kind!r})"


@dataclass(frozen=True)
class Endpoint:
    """What answers requests of one dialect.

    Attributes:
        url: Where; `{model}` in it stands for the upstream's name of the model.
        translator: Between the caller's dialect and the endpoint's.
        stream_url: Where streams are answered; empty for the same place.
        stream_media_type: What a stream is written in.
        passed_headers: The headers of the caller that the upstream is told, in place of the usual ones.
        media_types: How the names of the types begin that answers may have besides, where there are
            such. The caller is told which it was.
    """

    url: str
    translator: Translator
    stream_url: str = ""
    stream_media_type: str = EVENTS
    passed_headers: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()

    def address(self, model: str, *, stream: bool) -> str:
        """Where a model answers, plain or streamed."""
        url = self.stream_url if stream and self.stream_url else self.url
        return url.replace("{model}", quote(model, safe="")) if "{model}" in url else url

    def for_model(self, model: str) -> "Endpoint":
        """The same for one model, whose name answers get that do not say which one gave them."""
        if not isinstance(self.translator, ChatTranslation):
            return self
        return replace(self, translator=replace(self.translator, model=model))


class Credentials(Protocol):
    """How the gateway proves itself, where a fixed header does not do: a token, or a signature."""

    async def headers(self, url: str, headers: Headers, body: bytes) -> Headers:
        """The headers of a POST request, with what proves it.

        Raises:
            AttemptFailedError: There is nothing to prove it with at the moment.
        """
        ...

    async def close(self) -> None:
        """Give back what is held."""
        ...


@dataclass(frozen=True)
class Api:
    """What is particular to one upstream.

    Attributes:
        endpoints: By the caller's dialect.
        headers: What goes with every request, credentials included.
        shown_headers: The upstream's headers that clients may see, and under which name.
        hidden: What must not stand in a message: credentials and addresses.
        credentials: What else proves each request.
    """

    endpoints: Mapping[str, Endpoint]
    headers: Headers = field(repr=False)
    shown_headers: Headers = ()
    hidden: tuple[str, ...] = field(default=(), repr=False)
    credentials: Credentials | None = None


def joined_headers(own: Mapping[str, str], configured: Mapping[str, str]) -> Headers:
    """What goes with every request to an upstream; what is configured takes the place of ours."""
    common = {"content-type": "application/json", "user-agent": USER_AGENT}
    return tuple({**common, **own, **configured}.items())


def hidden_texts(base_url: str, secrets: Iterable[str]) -> tuple[str, ...]:
    """What an upstream may repeat in an error and nobody should read. The longest come first."""
    texts = {urlsplit(base_url).netloc, *secrets}
    return tuple(sorted((it for it in texts if len(it) >= _SHORTEST_SECRET), key=len, reverse=True))
