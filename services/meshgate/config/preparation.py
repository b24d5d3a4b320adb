"""From what is written to what services read."""

import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path, PurePath
from typing import Any, TypeAlias

import msgspec

from meshgate.config.cloud_schema import CloudSection
from meshgate.config.guardrail_schema import GuardrailSection, RuleSection
from meshgate.config.http_schema import HttpSection
from meshgate.config.key_schema import KeySection
from meshgate.config.limit_schema import AllLimitsSection
from meshgate.config.model_schema import (
    CacheSection,
    ModelSection,
    RetriesSection,
    TargetSection,
    TimeoutsSection,
)
from meshgate.config.openai_family.members import MEMBERS
from meshgate.config.price_schema import PricesSection
from meshgate.config.provider_schema import (
    DemoSection,
    OpenAiCompatibleSection,
    OpenAiSection,
    ProviderSection,
)
from meshgate.config.schema import Configuration
from meshgate.config.secrets import SecretReference
from meshgate.config.snapshot import (
    AuthOptions,
    CachePolicy,
    DemoProvider,
    DetectRule,
    GuardrailPolicy,
    GuardrailRule,
    HttpProvider,
    Key,
    LimitsOptions,
    Model,
    PatternRule,
    PhraseRule,
    Provider,
    Retries,
    Snapshot,
    Target,
    Timeouts,
)
from meshgate.config.stated_limits import stated_limits
from meshgate.limits.limit import Limit
from meshgate.pricing.prices import Prices
from meshgate.pricing.table import shipped

REVISION_LENGTH = 12

_TargetLimits: TypeAlias = Mapping[tuple[str, str], tuple[Limit, ...]]
"""By provider and the upstream's name for the model."""


def prepare(configuration: Configuration) -> Snapshot:
    """The snapshot of a configuration whose references have been checked."""
    providers = {name: _provider(name, item) for name, item in configuration.providers.items()}
    wide = _target_limits(configuration)
    models = {
        name: _model(name, item, wide, providers) for name, item in configuration.models.items()
    }
    keys = {key.key_id: key for key in map(_key, configuration.keys)}
    auth = AuthOptions(stale_for_seconds=configuration.auth.stale_for)
    limits = _limits(configuration.limits)
    guardrails = {name: _policy(name, item) for name, item in configuration.guardrails.items()}
    revision = _revision(providers, models, keys, auth, limits, guardrails)
    return Snapshot(revision, providers, models, keys, auth, limits, guardrails)


def _provider(name: str, section: ProviderSection) -> Provider:
    if isinstance(section, DemoSection):
        return DemoProvider(
            name,
            delay_seconds=section.delay,
            word_delay_seconds=section.word_delay,
            fail=section.fail,
            fail_first=section.fail_first,
        )
    if isinstance(section, CloudSection):
        base_url, api_key, options = section.address, section.key, section.options
    else:
        base_url = section.base_url or MEMBERS[section.kind].base_url
        api_key, options = section.api_key, _options(section)
    return HttpProvider(
        name,
        kind=section.kind,
        base_url=base_url,
        api_key=api_key,
        headers=_headers(section),
        options=options,
        connect_seconds=section.timeouts.connect,
        ca_file=Path(section.ca_file) if section.ca_file else None,
        proxy=section.proxy,
    )


def _options(section: HttpSection) -> Mapping[str, str | SecretReference]:
    if isinstance(section, OpenAiSection):
        return {"api": section.api} if section.api != "chat" else {}
    if isinstance(section, OpenAiCompatibleSection):
        return {"responses": "true"} if section.responses else {}
    return {}


def _headers(section: HttpSection) -> Mapping[str, str | SecretReference]:
    headers = {name.lower(): value for name, value in section.headers.items()}
    if isinstance(section, OpenAiSection):
        if section.organization:
            headers["openai-organization"] = section.organization
        if section.project:
            headers["openai-project"] = section.project
    return headers


def _target_limits(configuration: Configuration) -> _TargetLimits:
    """What is stated of each target, wherever it is."""
    return {
        (item.provider, item.model or name): limits
        for name, section in configuration.models.items()
        for item in section.targets
        if (limits := stated_limits(item.limits))
    }


def _model(
    name: str, section: ModelSection, wide: _TargetLimits, providers: Mapping[str, Provider]
) -> Model:
    usual = _prices(section.prices)
    targets = []
    for item in section.targets:
        model = item.model or name
        prices = _prices(item.prices) or usual or _listed(providers[item.provider], model)
        targets.append(_target(item, model, prices, wide))
    if section.strategy == "priority":
        targets.sort(key=lambda target: target.priority)
    return Model(
        name,
        targets=tuple(targets),
        strategy=section.strategy,
        retries=_retries(section.retries),
        fallbacks=section.fallbacks,
        timeouts=_timeouts(section.timeouts),
        limits=stated_limits(section.limits),
        guardrails=section.guardrails,
        cache=_cache(section.cache),
    )


def _cache(section: CacheSection | None) -> CachePolicy | None:
    if section is None or section.mode == "off":
        return None
    return CachePolicy(section.ttl, section.scope, section.maximum_bytes)


def _target(
    section: TargetSection, model: str, prices: Prices | None, wide: _TargetLimits
) -> Target:
    return Target(
        section.provider,
        model,
        weight=section.weight,
        priority=section.priority,
        prices=prices,
        limits=wide.get((section.provider, model), ()),
    )


def _prices(section: PricesSection | None) -> Prices | None:
    return None if section is None else section.prices()


def _listed(provider: Provider, model: str) -> Prices | None:
    """What the shipped table says of a model, where its vendor's own API serves it."""
    if isinstance(provider, DemoProvider):
        return None
    table = shipped()
    entry = table.find(provider.base_url, model)
    return None if entry is None else table.prices(entry)


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
        limits=stated_limits(section.limits),
    )


def _limits(section: AllLimitsSection) -> LimitsOptions:
    return LimitsOptions(
        default=stated_limits(section.default),
        shared=stated_limits(section.shared),
        tags={tag: stated_limits(limits) for tag, limits in section.tags.items()},
    )


def _policy(name: str, section: GuardrailSection) -> GuardrailPolicy:
    return GuardrailPolicy(
        name,
        input=tuple(map(_rule, section.input)),
        output=tuple(map(_rule, section.output)),
        on_error=section.on_error,
    )


def _rule(section: RuleSection) -> GuardrailRule:
    if section.detect is not None:
        return DetectRule(section.action, section.detect, section.shadow)
    if section.pattern is not None:
        return PatternRule(
            section.action,
            name=section.name or "",
            pattern=section.pattern,
            max_length=section.max_length,
            shadow=section.shadow,
        )
    return PhraseRule(section.action, section.phrases, section.shadow)


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
