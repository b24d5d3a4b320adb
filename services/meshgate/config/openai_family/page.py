"""The page that lists the members, docs/providers.md, made from their files."""

from collections.abc import Iterator

import msgspec

from meshgate.config.openai_family.members import MEMBERS, Member
from meshgate.dialects.openai_chat.variant import Variant

_INTRODUCTION = """\
# Providers of OpenAI's family

<!-- Made by `python -m meshgate.config providers > docs/providers.md`; do not edit. -->

Each of these kinds speaks OpenAI's API. What it does in a way of its own is known to the gateway: a client of
any dialect need not care. Requests in OpenAI's own format pass through byte by byte, but for what has another name there.

```yaml
providers:
  mistral: {kind: mistral, api_key: "${env:MISTRAL_API_KEY}"}
  local:   {kind: ollama}                                       # at its usual address, without a key
models:
  mistral-large-latest: {targets: [{provider: mistral}]}
```

Without a configuration file, a provider is made for each key that stands in its usual environment variable, with the models
that the table of prices ([prices.md](prices.md)) has of it. A key whose vendor is not in the table makes none: which models
there are only a configuration can say then.

A server that is not in the list has the kind `openai-compatible`, which is taken for one that nobody knows more of.

## Adding one

Write a file `services/meshgate/config/openai_family/members/KIND.toml`; there is nothing else to do but to make this page
and [configuration.md](configuration.md) anew.

```toml
name = "Example"                             # what it calls itself
base_url = "https://api.example.com/v1"      # with the version, without a slash at the end
key_variable = "EXAMPLE_API_KEY"             # left out for servers of one's own
vendor = "example"                           # in the table of prices; left out if it is not there
answers = ["chat", "embeddings"]             # also: completions, responses

[chat]                                       # only what is not as below
only_bound = true                            # it knows `output_bound` (max_tokens) and no other
renamed = { seed = "random_seed" }           # OpenAI's name = its own
words = { tool_choice = { required = "any" } }
refused = ["logit_bias"]                     # translated requests that hold it are refused, by name

[[facts]]                                    # at least one: who says so
says = "The seed is named otherwise."
source = "https://docs.example.com/api"
```

"""


def markdown() -> str:
    """All of the page."""
    return _INTRODUCTION + "\n".join([*_settings(), "", *_members()]) + "\n"


def _settings() -> Iterator[str]:
    yield "What may stand under `[chat]`, and what holds where it does not:"
    yield ""
    yield "| member | if not given | meaning |"
    yield "|---|---|---|"
    usual = _told(Variant())
    for name, meaning in _meanings().items():
        yield f"| `{name}` | `{msgspec.json.encode(usual[name]).decode()}` | {meaning} |"


def _meanings() -> dict[str, str]:
    """What the settings mean, as their own documentation says."""
    described = (Variant.__doc__ or "").partition("Attributes:")[2]
    meanings: dict[str, str] = {}
    for line in filter(str.strip, described.splitlines()):
        name, colon, meaning = line.strip().partition(": ")
        if colon and name in Variant.__struct_fields__:
            meanings[name] = meaning
        else:
            meanings[list(meanings)[-1]] += f" {line.strip()}"
    return meanings


def _members() -> Iterator[str]:
    yield "## The members"
    yield ""
    yield "| kind | is | answers | key | usual address |"
    yield "|---|---|---|---|---|"
    for kind, member in MEMBERS.items():
        key = f"`{member.key_variable}`" if member.key_variable else "none needed"
        answers = ", ".join(member.answers)
        yield f"| `{kind}` | {member.name} | {answers} | {key} | `{member.base_url}` |"
    for kind, member in MEMBERS.items():
        yield from ("", f"### `{kind}`", "", *_differences(member), *_facts(member))


def _differences(member: Member) -> Iterator[str]:
    usual, own = _told(Variant()), _told(member.chat)
    changed = {name: value for name, value in own.items() if value != usual[name]}
    if changed and "chat" in member.answers:
        for name, value in changed.items():
            yield f"- `{name}`: `{msgspec.json.encode(value).decode()}`"
        yield ""


def _told(variant: Variant) -> dict[str, object]:
    """What a variant says by member; sets as lists in one order, so that the page is always the same."""
    told: dict[str, object] = msgspec.to_builtins(variant, order="deterministic")
    return told


def _facts(member: Member) -> Iterator[str]:
    for fact in member.facts:
        yield f"{fact.says} ({fact.source})"
        yield ""
