"""Whether the names and secrets that a configuration refers to exist.

Reads the values as they are written, not the schema's: so that what is wrong with one field does
not hide what is wrong with another.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshgate.config.complaints import suggestion
from meshgate.config.composition import Composition
from meshgate.config.problems import FieldPath, Problem
from meshgate.config.secrets import SecretReference, SecretSource, SecretUnresolvedError

# The fields of a provider that refer to a secret, or may.
_SECRETS = (
    *("api_key", "proxy", "access_key_id", "secret_access_key", "session_token"),
    *("container_credentials_url", "client_secret", "service_account"),
)


def unknown_names(composition: Composition) -> list[Problem]:
    """Names of providers, models and guardrails that are used and not defined, and names used wrongly."""
    return [
        *_unknown_providers(composition),
        *_unknown_models(composition),
        *_unknown_guardrails(composition),
        *_cycles(composition),
        *_doubles(composition, "name", "the name"),
        *_doubles(composition, "key", "the secret"),
    ]


def unresolved_secrets(composition: Composition, secrets: SecretSource) -> list[Problem]:
    """References that lead to nothing, files that are not there, keys that are the same."""
    problems = []
    values: dict[str, FieldPath] = {}
    for path, reference in _references(composition):
        try:
            value = secrets.resolve(reference)
        except SecretUnresolvedError as error:
            problems.append(composition.problem(path, str(error)))
            continue
        if path[0] == "keys" and values.setdefault(value, path) != path:
            first = composition.place(values[value])
            sentence = f"is the same key as in {first.file}:{first.line}; use another one"
            problems.append(composition.problem(path, sentence))
    return problems + _missing_ca_files(composition)


def _unknown_providers(composition: Composition) -> Iterator[Problem]:
    known = _mapping(composition.value, "providers")
    for path, model in _models(composition):
        for at, target in enumerate(_list(model, "targets")):
            name = target.get("provider") if isinstance(target, dict) else None
            if isinstance(name, str) and name not in known:
                where = (*path, "targets", at, "provider")
                yield composition.problem(where, _undefined("provider", name, known))


def _unknown_models(composition: Composition) -> Iterator[Problem]:
    known = _mapping(composition.value, "models")
    for path, name in _named_models(composition):
        if name not in known:
            yield composition.problem(path, _undefined("model", name, known))


def _named_models(composition: Composition) -> Iterator[tuple[FieldPath, str]]:
    for path, model in _models(composition):
        for at, name in enumerate(_list(model, "fallbacks")):
            if isinstance(name, str):
                yield (*path, "fallbacks", at), name
    for path, key in _keys(composition):
        for at, name in enumerate(_list(key, "models")):
            if isinstance(name, str) and "*" not in name:
                yield (*path, "models", at), name


def _unknown_guardrails(composition: Composition) -> Iterator[Problem]:
    known = _mapping(composition.value, "guardrails")
    for path, model in _models(composition):
        for at, name in enumerate(_list(model, "guardrails")):
            if isinstance(name, str) and name not in known:
                where = (*path, "guardrails", at)
                yield composition.problem(where, _undefined("guardrail", name, known))


def _undefined(kind: str, name: str, known: dict[str, Any]) -> str:
    meant = suggestion(name, known) or f"; add it under `{kind}s`"
    return f"there is no {kind} {name}{meant}"


def _cycles(composition: Composition) -> Iterator[Problem]:
    """Each fallback through which its model leads back to itself."""
    after = {
        str(path[1]): [name for name in _list(model, "fallbacks") if isinstance(name, str)]
        for path, model in _models(composition)
    }
    for model, fallbacks in after.items():
        for at, name in enumerate(fallbacks):
            path = ("models", model, "fallbacks", at)
            if name == model:
                yield composition.problem(path, "is the model itself: name another one")
            elif model in _reached(name, after):
                sentence = f"leads back to {model}: remove one fallback of the circle"
                yield composition.problem(path, sentence)


def _reached(start: str, after: dict[str, list[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += after.get(name, [])
    return reached


def _doubles(composition: Composition, field: str, noun: str) -> Iterator[Problem]:
    seen: dict[str, FieldPath] = {}
    for path, key in _keys(composition):
        value = key.get(field)
        if isinstance(value, str) and seen.setdefault(value, path) != path:
            first = composition.place((*seen[value], field))
            sentence = f"{noun} {value} is also that of the key in {first.file}:{first.line}; use another one"
            if _is_showable(field, value):
                yield composition.problem((*path, field), sentence)


def _is_showable(field: str, value: str) -> bool:
    """A literal where a secret should be referred to is another problem, and never shown."""
    return field != "key" or _reference(value) is not None


def _references(composition: Composition) -> Iterator[tuple[FieldPath, SecretReference]]:
    for path, text in _secret_fields(composition):
        reference = _reference(text)
        if reference is not None:
            yield path, reference


def _secret_fields(composition: Composition) -> Iterator[tuple[FieldPath, Any]]:
    for path, provider in _providers(composition):
        for field in _SECRETS:
            yield (*path, field), provider.get(field)
        for name, value in _mapping(provider, "headers").items():
            yield (*path, "headers", name), value
    for path, key in _keys(composition):
        yield (*path, "key"), key.get("key")


def _reference(text: Any) -> SecretReference | None:
    try:
        return SecretReference.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _missing_ca_files(composition: Composition) -> list[Problem]:
    return [
        composition.problem((*path, "ca_file"), f"there is no file {provider['ca_file']}: add it")
        for path, provider in _providers(composition)
        if isinstance(provider.get("ca_file"), str) and not Path(provider["ca_file"]).is_file()
    ]


def _providers(composition: Composition) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    return _members(composition, "providers")


def _models(composition: Composition) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    return _members(composition, "models")


def _members(composition: Composition, section: str) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    for name, member in _mapping(composition.value, section).items():
        if isinstance(member, dict):
            yield (section, name), member


def _keys(composition: Composition) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    for at, key in enumerate(_list(composition.value, "keys")):
        if isinstance(key, dict):
            yield ("keys", at), key


def _mapping(value: Any, field: str) -> dict[str, Any]:
    found = value.get(field) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _list(value: Any, field: str) -> list[Any]:
    found = value.get(field) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []
