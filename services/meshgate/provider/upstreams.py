"""The upstreams of the present configuration, with their credentials and connections."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import structlog

from meshgate.config.secrets import SecretReference, SecretSource, SecretUnresolvedError
from meshgate.config.snapshot import DemoProvider, HttpProvider, Provider, Snapshot
from meshgate.provider.api import Connection
from meshgate.provider.apis.catalogue import api_of
from meshgate.provider.attempt import Answer, Attempt, Step, Upstream
from meshgate.provider.demo import DemoUpstream
from meshgate.provider.failures import AttemptFailedError, Failure, FailureKind
from meshgate.provider.http_upstream import HttpUpstream
from meshgate.provider.phases import UNBOUNDED
from meshgate.provider.upstream import ClientFactory, ClientOptions
from meshgate.runtime.errors import RevisionBehindError

_log = structlog.get_logger("meshgate.provider")

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class _Resolved:
    """A provider with its secrets, which decide whether an upstream must be built anew."""

    provider: Provider
    api_key: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    options: ClientOptions = field(default_factory=ClientOptions)
    kind_options: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class Upstreams:
    """Finds upstreams by the names of their providers, and follows the configuration.

    An upstream whose provider stays the same stays too, with its connections; one that changes is
    replaced, and ends what it has begun.
    """

    def __init__(self, secrets: SecretSource, make_client: ClientFactory) -> None:
        self._secrets = secrets
        self._make_client = make_client
        self._upstreams: Mapping[str, Upstream] = {}
        self._resolved: dict[str, _Resolved | None] = {}
        self._replaced: list[Upstream] = []

    def find(self, provider: str) -> Upstream:
        """The upstream of a provider.

        Raises:
            RevisionBehindError: The configuration here has no such provider.
        """
        upstream = self._upstreams.get(provider)
        if upstream is None:
            raise RevisionBehindError(
                f"the provider service does not know the provider {provider}",
                service="provider",
                provider=provider,
            )
        return upstream

    def lacks(self) -> list[str]:
        """Which providers cannot be used, for their secrets or certificates cannot be had."""
        broken = sorted(name for name, it in self._resolved.items() if it is None)
        return [f"the provider {name} cannot be used: see the log" for name in broken]

    def address(self, provider: str) -> tuple[str, int] | None:
        """Where a provider is, host and port; None for one that is inside the gateway."""
        resolved = self._resolved.get(provider)
        if resolved is None or isinstance(resolved.provider, DemoProvider):
            return None
        url = urlsplit(resolved.provider.base_url)
        return (url.hostname or "", url.port or _PORTS.get(url.scheme, 0))

    def follow(self, snapshot: Snapshot) -> set[str]:
        """Go by a new configuration, and return the names of the providers that changed or went.

        Reads the files of secrets and certificates. A provider whose secrets or certificates
        cannot be had fails its attempts, and does not keep others from answering.
        """
        resolved = {name: self._resolve(item) for name, item in snapshot.providers.items()}
        before = self._resolved
        changed = {
            name
            for name in resolved.keys() | before.keys()
            if resolved.get(name) != before.get(name)
        }
        kept = {name: it for name, it in self._upstreams.items() if name not in changed}
        self._replaced += [it for name, it in self._upstreams.items() if name in changed]
        self._upstreams = {
            name: kept.get(name) or self._build(item) for name, item in resolved.items()
        }
        self._resolved = resolved
        return changed

    async def close_replaced(self) -> None:
        """Give back what upstreams held that were replaced, when what they began has ended."""
        replaced, self._replaced = self._replaced, []
        for upstream in replaced:
            await upstream.close()

    async def close(self) -> None:
        """Give back everything."""
        self._replaced += self._upstreams.values()
        self._upstreams = {}
        await self.close_replaced()

    def _resolve(self, provider: Provider) -> _Resolved | None:
        if isinstance(provider, DemoProvider):
            return _Resolved(provider)
        try:
            return self._resolve_http(provider)
        except (SecretUnresolvedError, OSError) as error:
            _log.error("provider not usable", provider=provider.name, problem=str(error))
            return None

    def _resolve_http(self, provider: HttpProvider) -> _Resolved:
        headers = {name: self._text(value) for name, value in provider.headers.items()}
        kind_options = {name: self._text(value) for name, value in provider.options.items()}
        connect_seconds = provider.connect_seconds
        return _Resolved(
            provider,
            api_key=self._text(provider.api_key),
            headers=tuple(headers.items()),
            kind_options=tuple(kind_options.items()),
            options=ClientOptions(
                connect_seconds=UNBOUNDED if connect_seconds is None else connect_seconds,
                ca_pem=provider.ca_file.read_bytes() if provider.ca_file else None,
                proxy=self._text(provider.proxy),
            ),
        )

    def _text(self, value: str | SecretReference | None) -> str:
        if isinstance(value, SecretReference):
            return self._secrets.resolve(value)
        return value or ""

    def _build(self, resolved: _Resolved | None) -> Upstream:
        if resolved is None:
            return UnusableUpstream()
        if isinstance(resolved.provider, DemoProvider):
            return DemoUpstream(resolved.provider)
        connection = Connection(
            kind=resolved.provider.kind,
            base_url=resolved.provider.base_url,
            api_key=resolved.api_key,
            headers=dict(resolved.headers),
            options=dict(resolved.kind_options),
        )
        make_client = partial(self._make_client, resolved.options)
        try:
            return HttpUpstream(api_of(connection, make_client), make_client())
        except ValueError as error:
            _log.error("provider not usable", provider=resolved.provider.name, problem=str(error))
            return UnusableUpstream()


class UnusableUpstream:
    """Stands for a provider whose secrets or certificates cannot be had."""

    async def answer(self, attempt: Attempt) -> Answer:
        raise _unusable()

    async def stream(self, attempt: Attempt) -> AsyncGenerator[Step, None]:
        raise _unusable()
        yield b""  # makes this a generator

    async def close(self) -> None:
        """Nothing is held."""


def _unusable() -> AttemptFailedError:
    message = "the gateway is not set up for this upstream: its operator finds why in the log"
    return AttemptFailedError(Failure(FailureKind.AUTHENTICATION, message))
