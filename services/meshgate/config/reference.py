"""The reference page of the configuration, written from its schema."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from meshgate.config.later import FIELDS, VALUES
from meshgate.config.problems import FieldPath, written
from meshgate.config.schema import json_schema

_INTRODUCTION = r"""\
# Configuration

<!-- Written by `python -m meshgate.config reference > docs/configuration.md`. Do not edit. -->

`meshgate up --config meshgate.yaml` reads one YAML file; without one, the gateway is configured from
the environment: `OPENAI_API_KEY` (and `OPENAI_BASE_URL`, if set) makes a provider with well-known
models, `ANTHROPIC_API_KEY` (and `ANTHROPIC_BASE_URL`) likewise, and without any the `demo` provider answers offline.

```yaml
providers:
  openai: {kind: openai, api_key: "${env:OPENAI_API_KEY}"}
  local:  {kind: openai-compatible, base_url: "http://127.0.0.1:11434/v1"}
models:
  gpt-4o-mini:
    targets:
      - {provider: openai, weight: 9, prices: {input: 0.15, cached_input: 0.075, output: 0.60}}
      - {provider: local, model: qwen3, weight: 1, prices: {input: 0, output: 0}}
    retries: {attempts: 3, on: [rate_limited, overloaded, timeout, connection]}
    fallbacks: [qwen3]
    timeouts: {first_token: 30s, total: 300s}
    guardrails: [careful]
  qwen3: {targets: [{provider: local}], prices: {input: 0, output: 0}}
guardrails:
  careful:
    input: [{detect: secrets, action: block}, {phrases: [project bluebird], action: block}]
    output: [{detect: pii, action: mask}, {pattern: 'TICKET-\d{4,8}', name: ticket, action: observe}]
keys:
  - name: bench
    key: "${env:BENCH_KEY}"
    models: ["*"]
    limits: {rpm: 6000, concurrency: 50, budget: {usd: 1000, per: month, enforce: strict}}
limits:
  default: {rpm: 600, tpm: 200000}
  shared: {concurrency: 500}
  tags:
    env=test:
      budget: {usd: "12.50", per: day, time_zone: Europe/Berlin}
      windows: [{count: output_tokens, limit: 1000000, per: hour, enforce: soft}]
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
- **Limits** are what one key, model, target or tag, or all traffic, may use. `rpm`, `tpm`,
  `concurrency` and `budget` are short forms; `windows` says everything else. Several windows hold at
  once, but no two that count the same in the same way. 0 allows nothing; what is not stated is not
  limited. Amounts go up to 9007199254740991, money up to 9,000,000 USD.
- **Money** is in USD and is kept exactly, to nine decimals: 0.000000001 USD is the least. A number
  with more than fifteen digits goes in quotes. Prices are for a million tokens; what an attempt
  costs is rounded up once, to the next nano-dollar. Where a budget holds, requests for a model
  without [prices](prices.md) are refused: what it costs is not known, which is not the same as
  free (`prices: {input: 0, output: 0}`).
- **Guardrails** look at all texts of a model's requests and answers, streams included. Of findings
  that overlap, all is masked; one that blocks wins over all others. A `pattern` finds what it does
  as if matches longer than its `max_length` did not exist: they are cut. A stream is held back only
  while what was written last may still become a finding, by at most the longest that there can be:
  `max_length`, the longest phrase, 640 bytes for personal data, 8 KiB for private keys and tokens.
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
    places: dict[str, list[FieldPath]] = defaultdict(list)
    parts = list(_parts((), schema, schema))
    for path, part in parts:
        places[part["title"]].append(path)
    # A part that stands in several places is told once, at the shortest of their paths.
    sections = {
        part["title"]: _section(places[part["title"]], part, schema)
        for path, part in parts
        if path == min(places[part["title"]], key=len)
    }
    return "\n".join([_INTRODUCTION, *sections.values(), _OUTRO + _not_yet()])


def _section(places: list[FieldPath], part: dict[str, Any], schema: dict[str, Any]) -> str:
    path = min(places, key=len)
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
    others = ", ".join(f"`{_shown(other)}`" for other in dict.fromkeys(places) if other != path)
    also = ["", f"Also {others}."] if others else []
    return "\n".join([heading, "", part["description"], *also, "", *table, ""])


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
    # Of the forms of a field the first is told; the others are a list of it, or nothing.
    for reference in [content, *content.get("oneOf", []), *content.get("anyOf", [])[:1]]:
        if "$ref" in reference:
            yield step, _defined(reference, schema)


def _defined(reference: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][reference["$ref"].rsplit("/", 1)[1]]
    return found


def _kind(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if "anyOf" in field:
        first, *others = field["anyOf"]
        listed = any(other.get("items") == first for other in others)
        return _kind(first, schema) + (" or list of these" if listed else "")
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
    if field["type"] == "boolean":
        return "true or false"
    noun = {"integer": "whole number", "number": "number"}[field["type"]]
    return noun + _bounds(field)


def _bounds(field: dict[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f" from {_number(low)} to {_number(high)}"
    return f" from {_number(low)}" if low is not None else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _default(field: dict[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    value = field.get("default")
    if isinstance(value, list) and value:
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"`{_number(value)}`"
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
