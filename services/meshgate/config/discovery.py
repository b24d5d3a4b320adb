"""A configuration for those who have written none: made from the environment."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from meshgate.config.openai_family.members import MEMBERS, Member
from meshgate.config.preparation import prepare
from meshgate.config.schema import Configuration
from meshgate.config.snapshot import Snapshot
from meshgate.pricing.table import shipped
from meshgate.runtime.environment import SettingError

OPENAI_MODELS = (
    "gpt-6-sol",
    "gpt-6-luna",
    "gpt-5.6-sol",
    "gpt-5.6-terra",
    "gpt-5.6-luna",
    "gpt-5.5",
    "gpt-5.4",
    "gpt-5.4-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4o",
    "gpt-4o-mini",
    "text-embedding-3-small",
    "text-embedding-3-large",
)
ANTHROPIC_MODELS = (
    "claude-fable-5-1",
    "claude-opus-5-5",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-opus-4-7",
    "claude-opus-4-6",
    "claude-opus-4-5",
    "claude-sonnet-5-5",
    "claude-sonnet-5",
    "claude-sonnet-4-6",
    "claude-sonnet-4-5",
    "claude-haiku-5-5",
    "claude-haiku-4-5",
)
GEMINI_MODELS = (
    "gemini-4-argon",
    "gemini-4-hydrogen",
    "gemini-3.8-flash",
    "gemini-3.7-flash",
    "gemini-3.6-flash",
    "gemini-3.5-flash",
    "gemini-3.5-flash-lite",
    "gemini-3.1-pro-preview",
    "gemini-3.1-flash-lite",
    "gemini-3-flash-preview",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-pro-latest",
    "gemini-flash-latest",
    "gemini-flash-lite-latest",
    "gemini-embedding-001",
)
GEMINI_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was made, and what the person who started the gateway should be told."""

    snapshot: Snapshot
    notices: tuple[str, ...]


def discover(environment: Mapping[str, str]) -> Discovery:
    """Providers of the keys in the environment, or else the demo provider.

    The same environment gives the same revision.

    Raises:
        SettingError: OPENAI_BASE_URL or ANTHROPIC_BASE_URL is not an address.
    """
    snapshot = prepare(_found(environment))
    made = ", ".join(snapshot.providers)
    notices = [f"no configuration file: made the provider {made} from the environment"]
    notices += [
        f"{member.key_variable} is set, but which models {member.name} has only a configuration"
        " can say: see docs/providers.md"
        for member in MEMBERS.values()
        if environment.get(member.key_variable) and not _models_of(member)
    ]
    return Discovery(snapshot, tuple(notices))


def _found(environment: Mapping[str, str]) -> Configuration:
    """What the keys in the environment give, all together."""
    found = []
    for make, variable in _MAKERS.items():
        if made := make(environment):
            _configuration(made, variable)  # an error tells its variable
            found.append(made)
    found += _family(environment)
    return _configuration(_joined(found) if found else _demo(), "OPENAI_BASE_URL")


def _configuration(written: dict[str, Any], variable: str) -> Configuration:
    try:
        return Configuration.model_validate_json(json.dumps(written))
    except ValidationError as error:
        sentence = "must be an address that begins with http:// or https:// and holds no password"
        raise SettingError(f"{variable} {sentence}") from error


def _openai(environment: Mapping[str, str]) -> dict[str, Any]:
    if not environment.get("OPENAI_API_KEY"):
        return {}
    provider = {"kind": "openai", "api_key": "${env:OPENAI_API_KEY}"}
    if environment.get("OPENAI_BASE_URL"):
        provider["base_url"] = environment["OPENAI_BASE_URL"]
    models = {name: {"targets": [{"provider": "openai"}]} for name in OPENAI_MODELS}
    return {"providers": {"openai": provider}, "models": models}


def _anthropic(environment: Mapping[str, str]) -> dict[str, Any]:
    """Anthropic's; its SDKs take an address without the API's version."""
    if not environment.get("ANTHROPIC_API_KEY"):
        return {}
    provider = {"kind": "anthropic", "api_key": "${env:ANTHROPIC_API_KEY}"}
    if base_url := environment.get("ANTHROPIC_BASE_URL"):
        base_url = base_url.rstrip("/")
        provider["base_url"] = base_url if base_url.endswith("/v1") else f"{base_url}/v1"
    models = {name: {"targets": [{"provider": "anthropic"}]} for name in ANTHROPIC_MODELS}
    return {"providers": {"anthropic": provider}, "models": models}


def _gemini(environment: Mapping[str, str]) -> dict[str, Any]:
    variable = next((name for name in GEMINI_VARIABLES if environment.get(name)), None)
    if variable is None:
        return {}
    provider = {"kind": "gemini", "api_key": f"${{env:{variable}}}"}
    models = {name: {"targets": [{"provider": "gemini"}]} for name in GEMINI_MODELS}
    return {"providers": {"gemini": provider}, "models": models}


def _family(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """The members of OpenAI's family whose keys are there, and whose models are known."""
    return [
        {
            "providers": {kind: {"kind": kind, "api_key": f"${{env:{member.key_variable}}}"}},
            "models": {name: {"targets": [{"provider": kind}]} for name in _models_of(member)},
        }
        for kind, member in MEMBERS.items()
        if environment.get(member.key_variable) and _models_of(member)
    ]


def _models_of(member: Member) -> list[str]:
    """The models of a member that have a price."""
    if not member.vendor:
        return []
    return [entry.model for entry in shipped().entries if entry.vendor == member.vendor]


def _joined(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One configuration of several; where they have a model of the same name, that of the first."""
    joined: dict[str, Any] = {"providers": {}, "models": {}}
    for each in found:
        for section, entries in each.items():
            joined[section] = {**joined[section], **_others(entries, joined[section])}
    return joined


def _others(entries: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if name not in known}


_MAKERS = {
    _openai: "OPENAI_BASE_URL",
    _anthropic: "ANTHROPIC_BASE_URL",
    _gemini: "GEMINI_BASE_URL",
}
"""What makes each provider, and the variable that may say where it is."""


def _demo() -> dict[str, Any]:
    return {
        "providers": {"demo": {"kind": "demo"}},
        "models": {"demo": {"targets": [{"provider": "demo"}]}},
    }
