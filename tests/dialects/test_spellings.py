"""Names in spellings that only some servers take for the same: those written in Go, for one."""

import json

import pytest

from meshgate.dialects.translation import translator
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import chat_pb2, gateway_service_pb2

REQUESTS = {
    "anthropic_messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9},
    "openai_chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "openai_completions": {"prompt": "Hi"},
    "openai_responses": {"input": "Hi"},
    "openai_embeddings": {"input": "Hi"},
}
BOUNDS = {
    "anthropic_messages": "max_tokens",
    "openai_chat": "max_tokens",
    "openai_completions": "max_tokens",
    "openai_responses": "max_output_tokens",
}
# The last letter is a small s of old, the first a sign for kelvins: both fold to what we write.
SPELLINGS = {
    "max_tokens": ["MAX_TOKENS", "Max_Tokens", "max_token\u017f", "max_to\u212aens"],
    "max_output_tokens": ["MAX_OUTPUT_TOKENS", "max_output_token\u017f"],
}


def passed(dialect, **members):
    body = json.dumps({"model": "public"} | REQUESTS[dialect] | members).encode()
    through = translator(dialect, dialect)
    return json.loads(through.request(body, "upstream", stream=False, output_cap=16).body)


@pytest.mark.parametrize("dialect", REQUESTS)
@pytest.mark.parametrize("name", ["Model", "MODEL"])
def test_no_spelling_of_the_model_reaches_one_of_the_callers_own_choice(dialect, name):
    sent = passed(dialect, **{name: "dearer"})

    assert {value for key, value in sent.items() if key.lower() == "model"} == {"upstream"}


@pytest.mark.parametrize(
    ("dialect", "name"),
    [(dialect, name) for dialect, bound in BOUNDS.items() for name in SPELLINGS[bound]],
)
def test_no_spelling_of_the_bound_asks_for_more_than_the_cap(dialect, name):
    sent = passed(dialect, **{BOUNDS[dialect]: 8, name: 100_000})

    bounds = {key: value for key, value in sent.items() if key.casefold() == BOUNDS[dialect]}
    assert bounds == {BOUNDS[dialect]: 8, name: 16}


def with_extra(upstream, name):
    """A request in the typed API with an extra member, as an upstream gets it."""
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text="Hi")])
    extra = json.dumps({name: 100_000}).encode()
    request = gateway_service_pb2.ChatRequest(model="m", messages=[message], extra_json=extra)
    between = translator("meshgate_chat", upstream)
    body = request.SerializeToString()
    return json.loads(between.request(body, "upstream", stream=False, output_cap=16).body)


@pytest.mark.parametrize("upstream", ["anthropic_messages", "openai_chat", "openai_responses"])
def test_extras_name_no_other_model_in_another_spelling(upstream):
    with pytest.raises(InvalidRequestError, match="Model"):
        with_extra(upstream, "Model")


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses"])
def test_extras_ask_for_no_more_than_the_cap_in_another_spelling(upstream):
    name = "Max_New_Token\u017f"

    sent = with_extra(upstream, name)

    assert sent[name] == 16


def test_thoughts_fit_into_a_bound_that_was_lowered():
    thinking = {"type": "enabled", "budget_tokens": 9_000}
    body = {"model": "m", "max_tokens": 10_000, "thinking": thinking, **REQUESTS["openai_chat"]}
    through = translator("anthropic_messages", "anthropic_messages")

    written = through.request(json.dumps(body).encode(), "m", stream=False, output_cap=2_000).body

    sent = json.loads(written)
    assert (sent["max_tokens"], sent["thinking"]["budget_tokens"]) == (2_000, 1_999)
