"""The reference page of the configuration, written from its schema."""

from collections.abc import Iterator
from typing import Any

from meshgate.config.later import FIELDS, VALUES
from meshgate.config.problems import FieldPath, written
from meshgate.config.schema import json_schema

_INTRODUCTION = """\
# Configuration

<!-- Written by `python -m meshgate.config reference > docs/configuration.md`. Do not edit. -->

`meshgate up --config meshgate.yaml` reads one YAML file; without one, the gateway is configured from
the environment: `OPENAI_API_KEY` (and `OPENAI_BASE_URL`, if set) makes a provider with well-known
models, and without it the `demo` provider answers offline.

```yaml
providers:
  openai: {kind: openai, api_key: "${env:OPENAI_API_KEY}"}
  local:  {kind: openai-compatible, base_url: "http://127.0.0.1:11434/v1"}
models:
  gpt-4o-mini:
    targets:
      - {provider: openai, weight: 9}
      - {provider: local, model: qwen3, weight: 1}
    retries: {attempts: 3, on: [rate_limited, overloaded, timeout, connection]}
    fallbacks: [qwen3]
    timeouts: {first_token: 30s, total: 300s}
  qwen3: {targets: [{provider: local}]}
keys:
  - {name: bench, key: "${env:BENCH_KEY}", models: ["*"]}
```

- **Checked as a whole.** `meshgate config check FILE` tells everything that is wrong at once, each
  with its file, line and field. Unknown fields, unknown names and combinations that make no sense
  are errors; nothing is ignored. `meshgate config schema` prints JSON Schema for editors.
- **Reloaded.** A changed file is used within a second, without a restart. A broken one is refused
  and logged, and the one before it stays. Keys die within a second of leaving the file.
- **Secrets are references**: `${env:NAME}` is an environment variable, `${file:/path}` the content of
  a file, without the blanks at its ends. Only the service that needs a secret reads it, when it
  starts and when the configuration changes.
- **Durations** are a number and its unit: `300ms`, `2s`, `5m`, `1h`, `30d`.
- **Several files**: `include: ["conf.d/*.yaml"]` adds files, relative to the first one. Their
  mappings are joined by name and their lists one after the other; a name that is defined twice is an
  error that names both places.
- **YAML** follows version 1.2: `on`, `yes` and `no` are words. Anchors, aliases and `<<` work within
  one file.
"""
_OUTRO = """\
## Not supported yet

Refused with this remark, never ignored:

"""


def markdown() -> str:
    """The whole page."""
    schema = json_schema()
    # A part that several kinds share is told once.
    parts = {(path, part["title"]): part for path, part in _parts((), schema, schema)}
    sections = [_section(path, part, schema) for (path, _), part in parts.items()]
    return "\n".join([_INTRODUCTION, *sections, _OUTRO + _not_yet()])


def _section(path: FieldPath, part: dict[str, Any], schema: dict[str, Any]) -> str:
    heading = f"## `{_shown(path)}`" if path else "## The file"
    kind = part["properties"].get("kind", {}).get("const")
    if kind:
        heading += f" of kind `{kind}`"
    required = part.get("required", [])
    rows = [
        f"| `{name}` | {_kind(field, schema)} | {_default(field, required=name in required)} "
        f"| {field['description']} |"
        for name, field in sorted(
            part["properties"].items(), key=lambda item: item[0] not in required
        )
    ]
    table = ["| field | is | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join([heading, "", part["description"], "", *table, ""])


def _parts(
    path: FieldPath, part: dict[str, Any], schema: dict[str, Any]
) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    """Every part that has fields of its own, each after the one that it belongs to."""
    yield path, part
    for name, field in part["properties"].items():
        for step, inner in _inner(field, schema):
            yield from _parts((*path, name, *step), inner, schema)


def _inner(
    field: dict[str, Any], schema: dict[str, Any]
) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    content = field.get("items") or field.get("additionalProperties") or field
    step: FieldPath = ("[]",) if "items" in field else ("NAME",) if content is not field else ()
    for reference in [content, *content.get("oneOf", [])]:
        if "$ref" in reference:
            yield step, _defined(reference, schema)


def _defined(reference: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][reference["$ref"].rsplit("/", 1)[1]]
    return found


def _kind(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if "anyOf" in field:
        return _kind(field["anyOf"][0], schema)
    if "enum" in field:
        return " \\| ".join(f"`{word}`" for word in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "items" in field:
        return f"list of {_kind(field['items'], schema)}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"{_kind(field['additionalProperties'], schema)} by name"
    return _scalar(field)


def _scalar(field: dict[str, Any]) -> str:
    if "$ref" in field or "oneOf" in field:
        return "fields"
    if field["type"] == "string":
        return str(field["title"]) if str(field.get("title", "")).islower() else "text"
    noun = {"integer": "whole number", "number": "number"}[field["type"]]
    return noun + _bounds(field)


def _bounds(field: dict[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    return f" from {low:g}" if low is not None else ""


def _default(field: dict[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    value = field.get("default")
    if isinstance(value, list) and value:
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, int | float):
        return f"`{value:g}`"
    return f"`{value}`" if isinstance(value, str) else ""


def _shown(path: FieldPath) -> str:
    """The path with `[]` for the entries of a list and `NAME` for those of a mapping."""
    text = written(path).replace("targets.*", "targets.[]").replace("keys.*", "keys.[]")
    return text.replace(".[]", "[]").replace(".*", ".NAME")


def _not_yet() -> str:
    fields = [f"- `{_shown(path)}`" for path in sorted(FIELDS)]
    values = [
        f"- `{_shown(path)}`: {', '.join(f'`{word}`' for word in sorted(words))}"
        for path, words in sorted(VALUES.items())
    ]
    return "\n".join([*fields, *values, ""])
