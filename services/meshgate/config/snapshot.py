"""The configuration as services read it: checked, complete, immutable.

Durations are seconds. Nothing here holds the value of a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from meshgate.config.secrets import SecretReference
from meshgate.limits.limit import Limit
from meshgate.pricing.prices import Prices

# The words of `FailureKind` in provider_service.proto, but for `cancelled`: that is the caller's doing.
FailureKind: TypeAlias = Literal[
    "rate_limited",
    "overloaded",
    "timeout",
    "connection",
    "server_error",
    "context_window",
    "content_policy",
    "invalid_request",
    "authentication",
    "not_found",
]
DemoFault: TypeAlias = Literal[FailureKind, "cut"]
Strategy: TypeAlias = Literal["weighted", "priority"]
PriceStatus: TypeAlias = Literal["configured", "table", "unpriced"]
CacheScope: TypeAlias = Literal["organization", "team", "user", "key"]
Network: TypeAlias = IPv4Network | IPv6Network
FindingAction: TypeAlias = Literal["block", "mask", "observe"]
OnError: TypeAlias = Literal["closed", "open"]
Detector: TypeAlias = Literal[
    "secrets",
    "pii",
    "email",
    "phone",
    "credit-card",
    "iban",
    "us-ssn",
    "ip-address",
    "api-key",
    "jwt",
    "private-key",
]


def _freeze(value: Any, *names: str) -> None:
    for name in names:
        object.__setattr__(value, name, MappingProxyType(dict(getattr(value, name))))


@dataclass(frozen=True, slots=True)
class HttpProvider:
    """An upstream that is reached over HTTP.

    `base_url` has no slash at its end. `headers` go with every request, names in lower case,
    `openai-organization` and `openai-project` among them where they are configured.
    `connect_seconds` bounds connecting for every model; the shorter of it and the model's own holds.
    `options` are what only this kind has: a region, a version of the API, another secret.
    """

    name: str
    kind: str
    base_url: str
    api_key: SecretReference | None = None
    headers: Mapping[str, str | SecretReference] = field(default_factory=dict)
    connect_seconds: float | None = None
    ca_file: Path | None = None
    proxy: str | SecretReference | None = None
    options: Mapping[str, str | SecretReference] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _freeze(self, "headers", "options")


@dataclass(frozen=True, slots=True)
class DemoProvider:
    """An upstream inside the gateway, for trying things out.

    `fail` is what it pretends to suffer from: in the first `fail_first` requests, or in all of them
    where that is None.
    """

    name: str
    kind: Literal["demo"] = "demo"
    delay_seconds: float = 0.0
    word_delay_seconds: float = 0.0
    fail: DemoFault | None = None
    fail_first: int | None = None


Provider: TypeAlias = HttpProvider | DemoProvider


@dataclass(frozen=True, slots=True)
class Target:
    """One upstream and its model. Without `prices` nobody knows what it costs: it is not free."""

    provider: str
    model: str
    weight: float = 1.0
    priority: int = 0
    prices: Prices | None = None
    limits: tuple[Limit, ...] = ()

    @property
    def price_status(self) -> PriceStatus:
        """Where its prices come from."""
        if self.prices is None:
            return "unpriced"
        return "table" if self.prices.listed_as else "configured"


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a model's targets are tried, the first time included, and after which failures."""

    attempts: int = 2
    on: frozenset[FailureKind] = frozenset(
        {"rate_limited", "overloaded", "timeout", "connection", "server_error"}
    )
    backoff_initial_seconds: float = 0.1
    backoff_max_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase of an attempt may take; `total_seconds` bounds the request."""

    connect_seconds: float = 5.0
    first_token_seconds: float = 60.0
    between_tokens_seconds: float = 60.0
    total_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """Which answers are kept, for how long, and who shares them.

    Callers who belong to nothing of the scope's kind share theirs with nobody. Answers of more than
    `maximum_bytes` are not kept.
    """

    ttl_seconds: float = 600.0
    scope: CacheScope = "organization"
    maximum_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Model:
    """A name that clients ask for.

    With the strategy `priority` the targets stand in the order in which they are to be tried. With
    `weighted` those of the lowest `priority` come first, drawn by weight among equals. Without a
    `cache` every request goes upstream.
    """

    name: str
    targets: tuple[Target, ...]
    strategy: Strategy = "weighted"
    retries: Retries = Retries()
    fallbacks: tuple[str, ...] = ()
    timeouts: Timeouts = Timeouts()
    limits: tuple[Limit, ...] = ()
    guardrails: tuple[str, ...] = ()
    cache: CachePolicy | None = None


@dataclass(frozen=True, slots=True)
class DetectRule:
    """Looks for something well known. Of a rule in `shadow` only is told what it would do."""

    action: FindingAction
    detect: Detector
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class PhraseRule:
    """Looks for words and phrases, in whatever case."""

    action: FindingAction
    phrases: tuple[str, ...]
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class PatternRule:
    """Looks for matches of a pattern of re2, of which each has at most `max_length` bytes."""

    action: FindingAction
    name: str
    pattern: str
    max_length: int
    shadow: bool = False


GuardrailRule: TypeAlias = DetectRule | PhraseRule | PatternRule


@dataclass(frozen=True, slots=True)
class GuardrailPolicy:
    """What is looked for in what clients send and in what models answer.

    `on_error` is for callers of `guardrails`: whether what cannot be looked at passes.
    """

    name: str
    input: tuple[GuardrailRule, ...] = ()
    output: tuple[GuardrailRule, ...] = ()
    on_error: OnError = "closed"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is declared in the configuration. Its id is `config/<name>`.

    `limits` are its own: those of `LimitsOptions.default` are not among them.
    """

    name: str
    secret: SecretReference
    allowed_models: tuple[str, ...] = ("*",)
    organization_id: str = "default"
    team_id: str = ""
    user_id: str = ""
    allowed_networks: tuple[Network, ...] = ()
    expire_time: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        _freeze(self, "tags")

    @property
    def key_id(self) -> str:
        """What names the key everywhere else."""
        return f"config/{self.name}"


@dataclass(frozen=True, slots=True)
class AuthOptions:
    """How callers of `auth` behave; see `stale_for` in docs/configuration.md."""

    stale_for_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class LimitsOptions:
    """Limits that belong to no single key, model or target.

    `default` holds for each key, in the kinds of limit that the key does not state itself. `shared`
    counts all traffic together. `tags` counts the traffic of all keys with a tag together, by
    `name=value`.
    """

    default: tuple[Limit, ...] = ()
    shared: tuple[Limit, ...] = ()
    tags: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _freeze(self, "tags")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the configuration.

    `revision` is the same wherever the same configuration was read, however it was formatted.
    """

    revision: str
    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)
    auth: AuthOptions = AuthOptions()
    limits: LimitsOptions = LimitsOptions()
    guardrails: Mapping[str, GuardrailPolicy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _freeze(self, "providers", "models", "keys", "guardrails")
