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
LATER_VARIABLES = ("ANTHROPIC_API_KEY", "GEMINI_API_KEY")


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was made, and what the person who started the gateway should be told."""

    snapshot: Snapshot
    notices: tuple[str, ...]


def discover(environment: Mapping[str, str]) -> Discovery:
    """Providers of the keys in the environment, or else the demo provider.

    The same environment gives the same revision.

    Raises:
        SettingError: OPENAI_BASE_URL is not an address.
    """
    found = [_openai(environment)] if environment.get("OPENAI_API_KEY") else []
    found += _family(environment)
    written = _joined(found) if found else _demo()
    snapshot = prepare(_configuration(written))
    made = ", ".join(snapshot.providers)
    notices = [f"no configuration file: made the provider {made} from the environment"]
    notices += [
        f"{variable} is set, but its provider is not supported yet"
        for variable in LATER_VARIABLES
        if environment.get(variable)
    ]
    notices += [
        f"{member.key_variable} is set, but which models {member.name} has only a configuration"
        " can say: see docs/providers.md"
        for member in MEMBERS.values()
        if environment.get(member.key_variable) and not _models_of(member)
    ]
    return Discovery(snapshot, tuple(notices))


def _configuration(written: dict[str, Any]) -> Configuration:
    try:
        return Configuration.model_validate_json(json.dumps(written))
    except ValidationError as error:
        sentence = "must be an address that begins with http:// or https:// and holds no password"
        raise SettingError(f"OPENAI_BASE_URL {sentence}") from error


def _openai(environment: Mapping[str, str]) -> dict[str, Any]:
    provider = {"kind": "openai", "api_key": "${env:OPENAI_API_KEY}"}
    if environment.get("OPENAI_BASE_URL"):
        provider["base_url"] = environment["OPENAI_BASE_URL"]
    models = {name: {"targets": [{"provider": "openai"}]} for name in OPENAI_MODELS}
    return {"providers": {"openai": provider}, "models": models}


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


def _demo() -> dict[str, Any]:
    return {
        "providers": {"demo": {"kind": "demo"}},
        "models": {"demo": {"targets": [{"provider": "demo"}]}},
    }
