"""From what is written to what services read."""

import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path, PurePath
from typing import Any

import msgspec

from meshgate.config.key_schema import KeySection
from meshgate.config.model_schema import ModelSection, RetriesSection, TimeoutsSection
from meshgate.config.provider_schema import (
    DemoSection,
    OpenAiCompatibleSection,
    OpenAiSection,
)
from meshgate.config.schema import Configuration
from meshgate.config.secrets import SecretReference
from meshgate.config.snapshot import (
    AuthOptions,
    DemoProvider,
    HttpProvider,
    Key,
    Model,
    Provider,
    Retries,
    Snapshot,
    Target,
    Timeouts,
)

REVISION_LENGTH = 12


def prepare(configuration: Configuration) -> Snapshot:
    """The snapshot of a configuration whose references have been checked."""
    providers = {name: _provider(name, item) for name, item in configuration.providers.items()}
    models = {name: _model(name, item) for name, item in configuration.models.items()}
    keys = {key.key_id: key for key in map(_key, configuration.keys)}
    auth = AuthOptions(stale_for_seconds=configuration.auth.stale_for)
    revision = _revision(providers, models, keys, auth)
    return Snapshot(revision, providers, models, keys, auth)


def _provider(
    name: str, section: OpenAiSection | OpenAiCompatibleSection | DemoSection
) -> Provider:
    if isinstance(section, DemoSection):
        return DemoProvider(
            name,
            delay_seconds=section.delay,
            word_delay_seconds=section.word_delay,
            fail=section.fail,
            fail_first=section.fail_first,
        )
    return HttpProvider(
        name,
        kind=section.kind,
        base_url=section.base_url,
        api_key=section.api_key,
        headers=_headers(section),
        connect_seconds=section.timeouts.connect,
        ca_file=Path(section.ca_file) if section.ca_file else None,
        proxy=section.proxy,
    )


def _headers(
    section: OpenAiSection | OpenAiCompatibleSection,
) -> Mapping[str, str | SecretReference]:
    headers = {name.lower(): value for name, value in section.headers.items()}
    if isinstance(section, OpenAiSection):
        if section.organization:
            headers["openai-organization"] = section.organization
        if section.project:
            headers["openai-project"] = section.project
    return headers


def _model(name: str, section: ModelSection) -> Model:
    targets = [
        Target(item.provider, item.model or name, item.weight, item.priority)
        for item in section.targets
    ]
    if section.strategy == "priority":
        targets.sort(key=lambda target: target.priority)
    return Model(
        name,
        targets=tuple(targets),
        strategy=section.strategy,
        retries=_retries(section.retries),
        fallbacks=section.fallbacks,
        timeouts=_timeouts(section.timeouts),
    )


def _retries(section: RetriesSection) -> Retries:
    backoff = section.backoff
    highest = (
        backoff.max if "max" in backoff.model_fields_set else max(backoff.initial, backoff.max)
    )
    return Retries(
        attempts=section.attempts,
        on=frozenset(section.on),
        backoff_initial_seconds=min(backoff.initial, highest),
        backoff_max_seconds=highest,
    )


def _timeouts(section: TimeoutsSection) -> Timeouts:
    return Timeouts(
        connect_seconds=min(section.connect, section.total),
        first_token_seconds=min(section.first_token, section.total),
        between_tokens_seconds=min(section.between_tokens, section.total),
        total_seconds=section.total,
    )


def _key(section: KeySection) -> Key:
    return Key(
        section.name,
        secret=section.key,
        allowed_models=section.models,
        organization_id=section.organization,
        team_id=section.team or "",
        user_id=section.user or "",
        allowed_networks=section.networks,
        expire_time=section.expires,
        tags=section.tags,
    )


def _revision(*parts: Any) -> str:
    """A hash of everything that services can see, and of nothing else."""
    content = msgspec.json.encode(
        [msgspec.to_builtins(part, enc_hook=_plain, order="deterministic") for part in parts]
    )
    return hashlib.sha256(content).hexdigest()[:REVISION_LENGTH]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, IPv4Network | IPv6Network | PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a revision")
