"""A refusal names what the caller said, as he has said it."""

import json
import re

import pytest
from dialects.matrix.features import FEATURES
from dialects.matrix.judgement import body_of, can_say

from meshgate.dialects.field_names import own_name
from meshgate.dialects.translation import translator
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

HELLO = [{"role": "user", "content": "Hi"}]
GEMINI_HELLO = [{"role": "user", "parts": [{"text": "Hi"}]}]
PICTURE = {"type": "image", "source": {"type": "file", "file_id": "f_1"}}
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("f", "g")]
RESPONSES_TOOL = {"type": "custom", "name": "run"}


def refused(caller, upstream, **members):
    body = json.dumps({"model": "public", **members}).encode()
    with pytest.raises(InvalidRequestError) as told:
        translator(caller, upstream).request(body, "target", stream=False)
    return told.value


@pytest.mark.parametrize(
    ("upstream", "members", "field"),
    [
        (
            "gemini_generate",
            {"tools": TOOLS, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            "tool_choice.disable_parallel_tool_use",
        ),
        (
            "cohere_chat",
            {"tools": TOOLS, "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            "tool_choice.disable_parallel_tool_use",
        ),
        ("bedrock_converse", {"thinking": {"type": "disabled"}}, "thinking"),
        ("gemini_generate", {"output_config": {"effort": "max"}}, "output_config.effort"),
        (
            "cohere_chat",
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            "thinking.display",
        ),
        (
            "gemini_generate",
            {"system": "Be brief.", "messages": [{"role": "user", "content": [PICTURE]}]},
            "messages.content.image.file_id",
        ),
    ],
)
def test_callers_of_anthropics_api_hear_its_names(upstream, members, field):
    error = refused(
        "anthropic_messages", upstream, **{"max_tokens": 9, "messages": HELLO} | members
    )

    assert error.field == field
    assert f"'{field}'" in error.message


@pytest.mark.parametrize(
    ("upstream", "config", "field"),
    [
        ("anthropic_messages", {"seed": 1}, "generationConfig.seed"),
        (
            "anthropic_messages",
            {"responseMimeType": "application/json"},
            "generationConfig.responseMimeType",
        ),
        ("openai_responses", {"stopSequences": ["x"]}, "generationConfig.stopSequences"),
        (
            "cohere_chat",
            {"thinkingConfig": {"includeThoughts": False}},
            "generationConfig.thinkingConfig.includeThoughts",
        ),
    ],
)
def test_callers_of_geminis_api_hear_its_names(upstream, config, field):
    error = refused("gemini_generate", upstream, contents=GEMINI_HELLO, generationConfig=config)

    assert error.field == field
    assert f"'{field}'" in error.message


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format.type"),
        ({"reasoning": {"effort": "odd"}}, "reasoning.effort"),
        ({"tools": [RESPONSES_TOOL]}, "tools[0].type"),
    ],
)
def test_callers_of_responses_hear_their_names(members, field):
    error = refused("openai_responses", "anthropic_messages", input="Hi", **members)

    assert error.field == field
    assert f"'{field}'" in error.message


def test_what_the_neutral_form_does_not_know_keeps_the_callers_name():
    error = refused(
        "anthropic_messages",
        "gemini_generate",
        max_tokens=9,
        messages=HELLO,
        parallel_tool_calls=True,
    )

    assert error.field == "parallel_tool_calls"


@pytest.mark.parametrize("upstream", ["anthropic_messages", "bedrock_converse"])
def test_who_asks_for_json_without_a_schema_is_told_to_give_one(upstream):
    asked = {"messages": HELLO, "response_format": {"type": "json_object"}}

    assert "ask with a JSON schema" in refused("openai_chat", upstream, **asked).message


def test_the_longest_name_counts_and_places_stay():
    names = {"a": "x", "a.b": "y.z", "list[]": "items[]", "list[].c": "items[].d"}

    assert own_name("a.b.c", names) == "y.z.c"
    assert own_name("a.c", names) == "x.c"
    assert own_name("list[3].c.e[4]", names) == "items[3].d.e[4]"
    assert own_name("ab.c", names) == "ab.c"


# What the typed API has is called as in the neutral form, and chat completions nearly so.
FOREIGN = ("anthropic_messages", "gemini_generate", "openai_responses")
UPSTREAMS = (
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "gemini_generate",
    "cohere_chat",
)


def refused_fields(caller):
    """All that callers can say and upstreams of other dialects cannot, with the request that says it."""
    for feature in FEATURES:
        body = body_of(caller, feature) if can_say(caller, feature) else None
        for upstream in UPSTREAMS if body else ():
            try:
                translator(caller, upstream).request(body, "target", stream=False)
            except UnsupportedError as error:
                yield feature.name, json.loads(body), error.field


@pytest.mark.parametrize("caller", FOREIGN)
def test_whatever_is_refused_stands_in_the_callers_own_request(caller):
    found = list(refused_fields(caller))

    first_names = [re.split(r"[.\[]", field)[0] for _, _, field in found]
    assert len(found) > 10
    assert [
        (feature, field)
        for (feature, body, field), first in zip(found, first_names, strict=True)
        if first not in body
    ] == []
