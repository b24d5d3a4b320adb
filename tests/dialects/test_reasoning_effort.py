"""Whoever says how hard, or how much, to think is understood by every upstream."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.neutral import (
    ChatRequest,
    Message,
    Role,
    Text,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from meshgate.dialects.openai_chat.dialect import dialect as openai_chat
from meshgate.dialects.openai_chat.variant import EffortPlace, Variant
from meshgate.dialects.reasoning_effort import BUDGETS, budget_of, effort_of
from meshgate.dialects.translation import UPSTREAM_DIALECTS, translator

QUESTION = (Message(role=Role.USER, parts=(Text("Hi"),)),)
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
EARLY_CLAUDE, LATE_CLAUDE = "claude-sonnet-4-5", "claude-opus-5"
EARLY_GEMINI, LATE_GEMINI = "gemini-2.5-pro", "gemini-3-pro"


def told(upstream, model, **thinking):
    request = ChatRequest(model="public", messages=QUESTION, max_output_tokens=30_000, **thinking)
    return json.loads(UPSTREAM_DIALECTS[upstream].write_request(request, model, stream=False))


def budget(tokens):
    return {"type": "enabled", "budget_tokens": tokens}


@pytest.mark.parametrize(
    ("tokens", "effort"),
    [
        (0, "none"),
        (1, "low"),
        (2_047, "low"),
        (2_048, "medium"),
        (8_191, "medium"),
        (8_192, "high"),
        (100_000, "high"),
    ],
)
def test_a_budget_is_a_word(tokens, effort):
    assert effort_of(None, tokens) == effort


@pytest.mark.parametrize(
    ("effort", "tokens", "expected"),
    [
        ("high", 1_024, "low"),
        ("minimal", 4_096, "minimal"),
        ("xhigh", 4_096, "medium"),
        ("xhigh", 32_000, "xhigh"),
        ("none", 32_000, "none"),
        ("high", 0, "none"),
    ],
)
def test_of_both_the_lesser_counts(effort, tokens, expected):
    assert effort_of(effort, tokens) == expected


@given(st.none() | st.sampled_from(EFFORTS), st.none() | st.integers(0, 200_000))
def test_nothing_is_made_up_and_no_budget_is_exceeded(effort, tokens):
    word, budget = effort_of(effort, tokens), budget_of(tokens, effort)

    assert (word is None) == (effort is None and tokens is None)
    assert word == effort if tokens is None else True
    if tokens is not None:
        assert budget is not None
        assert budget <= tokens
        assert budget == min(tokens, BUDGETS.get(effort, tokens)) or effort == "none"


@pytest.mark.parametrize(
    ("upstream", "model", "expected"),
    [
        ("openai_chat", "gpt-5", {"reasoning_effort": "medium"}),
        ("openai_responses", "gpt-5", {"reasoning": {"effort": "medium"}}),
        ("anthropic_messages", EARLY_CLAUDE, {"thinking": budget(4_096)}),
        (
            "anthropic_messages",
            LATE_CLAUDE,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
        ),
        (
            "gemini_generate",
            EARLY_GEMINI,
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 4_096}}},
        ),
        (
            "gemini_generate",
            LATE_GEMINI,
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 4_096}}},
        ),
        (
            "bedrock_converse",
            f"eu.anthropic.{EARLY_CLAUDE}-v1:0",
            {"additionalModelRequestFields": {"thinking": budget(4_096)}},
        ),
        (
            "bedrock_converse",
            f"eu.anthropic.{LATE_CLAUDE}-v1:0",
            {
                "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
                "outputConfig": {"effort": "medium"},
            },
        ),
        ("bedrock_converse", "meta.llama4", {"outputConfig": {"effort": "medium"}}),
        ("cohere_chat", "command-a", {"thinking": {"type": "enabled", "token_budget": 4_096}}),
    ],
)
def test_every_upstream_is_told_a_budget(upstream, model, expected):
    plain = told(upstream, model)
    body = told(upstream, model, reasoning_budget_tokens=4_096)

    added = {name: value for name, value in body.items() if plain.get(name) != value}
    without_bound = {"generationConfig": {"maxOutputTokens": 30_000}}
    assert {
        name: {k: v for k, v in value.items() if k not in without_bound.get(name, ())}
        if isinstance(value, dict)
        else value
        for name, value in added.items()
        if name != "include"
    } == expected


@pytest.mark.parametrize(
    ("upstream", "model", "effort", "place", "expected"),
    [
        ("anthropic_messages", EARLY_CLAUDE, "low", "thinking", budget(4_096)),
        ("anthropic_messages", EARLY_CLAUDE, "none", "thinking", {"type": "disabled"}),
        (
            "bedrock_converse",
            f"anthropic.{EARLY_CLAUDE}",
            "high",
            "additionalModelRequestFields",
            {"thinking": budget(16_384)},
        ),
        (
            "bedrock_converse",
            f"anthropic.{LATE_CLAUDE}",
            "minimal",
            "outputConfig",
            {"effort": "low"},
        ),
        (
            "cohere_chat",
            "command-a",
            "low",
            "thinking",
            {"type": "enabled", "token_budget": 4_096},
        ),
        (
            "cohere_chat",
            "command-a",
            "medium",
            "thinking",
            {"type": "enabled", "token_budget": 8_192},
        ),
    ],
)
def test_who_has_only_budgets_is_told_an_effort(upstream, model, effort, place, expected):
    assert told(upstream, model, reasoning_effort=effort)[place] == expected


@pytest.mark.parametrize("upstream", sorted(UPSTREAM_DIALECTS.keys() - {"meshgate_chat"}))
@pytest.mark.parametrize("effort", EFFORTS)
def test_a_budget_with_an_effort_is_refused_nowhere(upstream, effort):
    model = {"bedrock_converse": f"anthropic.{EARLY_CLAUDE}"}.get(upstream, "some-model")

    both = told(upstream, model, reasoning_effort=effort, reasoning_budget_tokens=1_024)

    assert both != told(upstream, model)


TOOLS = (Tool(name="f"), Tool(name="g"))
FORCED = (
    ToolChoice(mode=ToolChoiceMode.REQUIRED),
    ToolChoice(mode=ToolChoiceMode.NAMED, name="f"),
)
CLAUDES = [
    ("anthropic_messages", EARLY_CLAUDE),
    ("anthropic_messages", LATE_CLAUDE),
    ("bedrock_converse", f"eu.anthropic.{EARLY_CLAUDE}-v1:0"),
    ("bedrock_converse", f"eu.anthropic.{LATE_CLAUDE}-v1:0"),
]


@pytest.mark.parametrize(("upstream", "model"), CLAUDES)
@pytest.mark.parametrize("choice", FORCED, ids=lambda choice: choice.mode.value)
@pytest.mark.parametrize(
    "asked",
    [
        {"reasoning_effort": "high"},
        {"reasoning_budget_tokens": 4_096},
        {"shows_reasoning": True},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_claude_is_not_told_to_think_where_it_must_call_a_tool(upstream, model, choice, asked):
    plain = told(upstream, model, tools=TOOLS, tool_choice=choice)
    body = told(upstream, model, tools=TOOLS, tool_choice=choice, **asked)

    # How hard to work is told without thinking, where there is a word for it.
    for each in (plain, body):
        each.pop("output_config", None)
        each.pop("outputConfig", None)
    assert body == plain


@pytest.mark.parametrize(("upstream", "model"), CLAUDES)
@pytest.mark.parametrize("mode", [ToolChoiceMode.AUTO, ToolChoiceMode.NONE])
def test_claude_thinks_where_it_need_not_call_a_tool(upstream, model, mode):
    asked = {"tools": TOOLS, "tool_choice": ToolChoice(mode=mode)}

    body = told(upstream, model, reasoning_effort="high", **asked)

    assert body.get("thinking") or body["additionalModelRequestFields"]["thinking"]


@pytest.mark.parametrize(("upstream", "model"), CLAUDES)
def test_that_claude_shall_not_think_is_told_beside_a_forced_tool(upstream, model):
    body = told(upstream, model, reasoning_effort="none", tools=TOOLS, tool_choice=FORCED[0])

    thinking = body.get("thinking") or body["additionalModelRequestFields"]["thinking"]
    assert thinking == {"type": "disabled"}


def test_routers_take_one_of_the_two():
    write = openai_chat(Variant(effort=EffortPlace.REASONING)).write_request

    def reasoning(**asked):
        request = ChatRequest(model="m", messages=QUESTION, **asked)
        return json.loads(write(request, "m", stream=False))["reasoning"]

    assert reasoning(reasoning_budget_tokens=9) == {"max_tokens": 9}
    assert reasoning(reasoning_budget_tokens=0) == {"effort": "none"}
    assert reasoning(reasoning_budget_tokens=9, reasoning_effort="high") == {"effort": "low"}


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses"])
def test_agents_that_think_with_a_budget_are_answered_by_openai(upstream):
    asked = {
        "model": "public",
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": "Hi"}],
        "thinking": {"type": "enabled", "budget_tokens": 31_999},
    }

    request = translator("anthropic_messages", upstream).request(
        json.dumps(asked).encode(), "gpt-5", stream=False
    )

    body = json.loads(request.body)
    assert body.get("reasoning_effort") or body["reasoning"]["effort"] == "high"
