"""What pydantic found wrong, in sentences that say what to do."""

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from meshgate.config.composition import Composition
from meshgate.config.later import is_later_field, is_later_value
from meshgate.config.problems import FieldPath, Problem
from meshgate.config.schema import json_schema

_SENTENCES = {
    "string_type": "must be text: write it in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list, for instance [a, b]",
    "dict_type": "must hold fields, each as `name: value`",
    "model_type": "must hold fields, each as `name: value`",
    "model_attributes_type": "must hold fields, each as `name: value`",
    "string_too_short": "must not be empty",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le:g}",
}

_Teller: TypeAlias = Callable[[ErrorDetails, FieldPath, Composition], str]


def complaints(error: ValidationError, composition: Composition) -> list[Problem]:
    """One problem for each thing that is wrong."""
    return [_problem(detail, composition) for detail in error.errors(include_url=False)]


def suggestion(word: str, known: Iterable[str]) -> str:
    """What was probably meant, as the end of a sentence; nothing if no known word is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _problem(detail: ErrorDetails, composition: Composition) -> Problem:
    path = _field(detail, composition)
    tell = _TELLERS.get(detail["type"], _by_table)
    return composition.problem(path, tell(detail, path, composition))


def _field(detail: ErrorDetails, composition: Composition) -> FieldPath:
    """The path in the file.

    Pydantic's has the provider's kind and a mark for names in it, and a place in a list also where
    the file has the only entry of the list without it.
    """
    path = tuple(step for step in detail["loc"] if step != "[key]")
    if path[:1] == ("providers",) and len(path) > 2:  # noqa: PLR2004 - providers.NAME.KIND
        path = path[:2] + path[3:]
    if detail["type"].startswith("union_tag"):
        path = (*path, "kind")
    return _without_places(path, composition.value)


def _without_places(path: FieldPath, value: Any) -> FieldPath:
    kept: list[str | int] = []
    for step in path:
        if isinstance(step, int) and isinstance(value, dict):
            continue
        kept.append(step)
        value = _at(value, step)
    return tuple(kept)


def _at(value: Any, step: str | int) -> Any:
    """What is there, or None where nothing is: the last step may be a field that is missing."""
    if isinstance(value, dict):
        return value.get(str(step))
    return value[step] if isinstance(value, list) and isinstance(step, int) else None


def _by_table(detail: ErrorDetails, _path: FieldPath, _composition: Composition) -> str:
    sentence = _SENTENCES.get(detail["type"])
    return sentence.format(**detail.get("ctx", {})) if sentence else detail["msg"]


def _own_words(detail: ErrorDetails, _path: FieldPath, _composition: Composition) -> str:
    return str(detail["ctx"]["error"])


def _missing(_detail: ErrorDetails, path: FieldPath, composition: Composition) -> str:
    described = _fields(path[:-1], composition)[str(path[-1])]["description"]
    return f"is missing. {described}"


def _unknown_field(_detail: ErrorDetails, path: FieldPath, composition: Composition) -> str:
    if is_later_field(path):
        return "is not supported yet: remove it"
    known = sorted(_fields(path[:-1], composition)) + ["include"] * (len(path) == 1)
    meant = suggestion(str(path[-1]), known) or f"; known here: {', '.join(known)}"
    return f"unknown field {path[-1]}{meant}"


def _unknown_word(detail: ErrorDetails, path: FieldPath, composition: Composition) -> str:
    context = detail["ctx"]
    known = re.findall(r"'([^']*)'", context.get("expected") or context["expected_tags"])
    word = _value(path, composition)
    choice = f"use one of {', '.join(known)}"
    if not isinstance(word, str):
        return f"must be a word: {choice}"
    if is_later_value(path, word):
        return f"{word} is not supported yet: {choice}"
    return f"unknown word {word}: {choice}{suggestion(word, known)}"


def _missing_kind(_detail: ErrorDetails, _path: FieldPath, _composition: Composition) -> str:
    return f"is missing: use one of {', '.join(_provider_kinds())}"


_TELLERS: dict[str, _Teller] = {
    "value_error": _own_words,
    "missing": _missing,
    "extra_forbidden": _unknown_field,
    "literal_error": _unknown_word,
    "union_tag_invalid": _unknown_word,
    "union_tag_not_found": _missing_kind,
}


def _value(path: FieldPath, composition: Composition) -> Any:
    value: Any = composition.value
    for step in path:
        value = value[step]
    return value


def _provider_kinds() -> dict[str, str]:
    providers = json_schema()["properties"]["providers"]["additionalProperties"]
    return dict(providers["discriminator"]["mapping"])


def _fields(path: FieldPath, composition: Composition) -> dict[str, Any]:
    """The fields that the schema has at a path, with their schemas."""
    schema = json_schema()
    definitions = schema["$defs"]
    for depth, step in enumerate(path, 1):
        form = _form(schema, step, definitions)
        if isinstance(step, int):
            schema = form["items"]
        else:
            schema = form.get("properties", {}).get(step) or form["additionalProperties"]
        if "discriminator" in schema:
            kind = _value((*path[:depth], "kind"), composition)
            schema = {"$ref": schema["discriminator"]["mapping"][kind]}
    return dict(_form(schema, "", definitions)["properties"])


def _form(schema: dict[str, Any], step: str | int, definitions: dict[str, Any]) -> dict[str, Any]:
    """Of the forms that a value may have, the one that the step leads into: a list, or fields."""
    forms = schema.get("anyOf", [schema])
    form: dict[str, Any] = next(form for form in forms if isinstance(step, str) or "items" in form)
    return definitions[form["$ref"].rsplit("/", 1)[1]] if "$ref" in form else form
