"""Answers that are kept: which are, and that they say the same streamed and plain."""

import json

import pytest
from dialects import anthropic_values
from dialects.neutral_values import assistant_parts, finish_reasons, reason_of, usages
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects import grammar
from meshgate.dialects.keeping import keeping
from meshgate.dialects.neutral import (
    ChatResponse,
    FinishReason,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    Usage,
)
from meshgate.dialects.openai_chat import grammar as chunk_grammar
from meshgate.dialects.translation import CHAT_DIALECTS
from meshgate.v1 import gateway_service_pb2

CREATED = 1_790_000_000
LIMIT = 1 << 20
# Gemini's calls are objects, and its reasons fewer: see test_gemini_traffic.py.
CHATS = sorted(CHAT_DIALECTS.keys() - {"gemini_generate"})


def plain(dialect: str, response: ChatResponse) -> bytes:
    return CHAT_DIALECTS[dialect].write_response(response, created=CREATED)


def listened(dialect: str, stream: bytes, usage: Usage | None = None, limit: int = LIMIT):
    listener = keeping(dialect).listen(CREATED, limit)
    listener.take(stream)
    return listener.body(usage)


@st.composite
def told(draw) -> tuple[Part, ...]:
    """What a stream tells in one order only: each kind of text once, and named calls."""
    thought = draw(st.lists(st.builds(Reasoning, text=st.text(_LETTERS, min_size=1)), max_size=1))
    text = draw(st.lists(st.builds(Text, st.text(_LETTERS, min_size=1)), max_size=1))
    calls = [part for part in draw(assistant_parts()) if isinstance(part, ToolCall)]
    return (*thought, *text, *calls)


_LETTERS = st.characters(exclude_categories=["Cs"])
responses = st.builds(
    lambda parts, reason, usage: ChatResponse(
        id="c-1",
        served_model="m-1",
        message=Message(role=Role.ASSISTANT, parts=parts),
        finish_reason=reason_of(reason, [it for it in parts if isinstance(it, ToolCall)]),
        usage=usage,
    ),
    told(),
    finish_reasons,
    usages,
)


def drawn(data, dialect):
    """An answer that the dialect can say; arguments of tools must be JSON in Anthropic's."""
    own = {"anthropic_messages": anthropic_values.responses(most=1)}
    return data.draw(own.get(dialect, responses))


@pytest.mark.parametrize("dialect", CHATS)
@given(data=st.data())
def test_a_plain_answer_that_is_streamed_and_kept_is_the_same(dialect, data):
    response = drawn(data, dialect)
    body = plain(dialect, response)

    stream = keeping(dialect).streamed(body, CREATED, include_usage=True)

    assert stream is not None
    assert listened(dialect, stream, response.usage) == body


@pytest.mark.parametrize("dialect", CHATS)
@given(data=st.data())
def test_what_is_streamed_keeps_the_grammar_of_events(dialect, data):
    response = drawn(data, dialect)
    stream = keeping(dialect).streamed(plain(dialect, response), CREATED, include_usage=True)

    reader = CHAT_DIALECTS[dialect].stream_reader()
    grammar.check([*reader.feed(stream), *reader.close()])


@given(response=responses, include_usage=st.booleans())
def test_what_is_streamed_keeps_the_grammar_of_openai(response, include_usage):
    body = plain("openai_chat", response)

    stream = keeping("openai_chat").streamed(body, CREATED, include_usage=include_usage)

    chunk_grammar.check(stream)
    assert (b'"usage"' in stream) == include_usage


@pytest.mark.parametrize("dialect", CHATS)
@given(data=st.data(), cut=st.floats(0, 1, exclude_max=True))
def test_a_stream_that_is_cut_is_not_kept(dialect, data, cut):
    response = drawn(data, dialect)
    dialects = CHAT_DIALECTS[dialect]
    writer = dialects.stream_writer(created=CREATED, include_usage=True)
    reader = dialects.stream_reader()
    events = reader.feed(
        keeping(dialect).streamed(plain(dialect, response), CREATED, include_usage=True)
    )
    told = writer.write(events[: int(len(events) * cut)])

    assert listened(dialect, told) is None


@pytest.mark.parametrize("dialect", CHATS)
def test_a_stream_with_more_text_than_is_kept_is_given_up(dialect):
    response = ChatResponse(
        id="c",
        served_model="m",
        message=Message(role=Role.ASSISTANT, parts=(Text("é" * 50),)),
        finish_reason=FinishReason.STOP,
    )
    stream = keeping(dialect).streamed(plain(dialect, response), CREATED, include_usage=False)

    assert listened(dialect, stream, limit=99) is None
    assert listened(dialect, stream, limit=100) is not None


@pytest.mark.parametrize(
    "stream",
    [
        b"data: nonsense\n\n",
        b'data: {"error": {"message": "no", "type": "x"}}\n\n',
        (
            b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
            b'data: {"error": {"message": "no", "type": "x"}}\n\n'
        ),
        b'data: {"choices": [{"delta": {}}, {"index": 1, "delta": {}}]}\n\n',
    ],
)
def test_a_stream_that_goes_wrong_is_not_kept(stream):
    assert listened("openai_chat", stream + b"data: [DONE]\n\n") is None


@pytest.mark.parametrize("body", [b"{}", b"nonsense", b'{"choices": []}', b"\xff"])
@pytest.mark.parametrize("dialect", CHATS)
def test_what_is_no_answer_is_not_streamed(dialect, body):
    assert dialect == "meshgate_chat" or (
        keeping(dialect).streamed(body, CREATED, include_usage=True) is None
    )
    assert keeping(dialect).good_end(body) is None


def test_embeddings_are_not_streamed():
    assert keeping("openai_embeddings").listen(CREATED, LIMIT) is None
    assert keeping("openai_embeddings").streamed(b"{}", CREATED, include_usage=True) is None


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (FinishReason.STOP, True),
        (FinishReason.LENGTH, True),
        (FinishReason.TOOL_CALLS, True),
        (FinishReason.CONTENT_FILTER, False),
    ],
)
@pytest.mark.parametrize("dialect", CHATS)
def test_an_answer_that_a_filter_cut_is_not_worth_keeping(dialect, reason, expected):
    calls = (ToolCall(id="c", name="f"),) if reason is FinishReason.TOOL_CALLS else ()
    message = Message(role=Role.ASSISTANT, parts=(Text("x"), *calls))
    body = plain(
        dialect, ChatResponse(id="c", served_model="m", message=message, finish_reason=reason)
    )

    assert keeping(dialect).good_end(body) is (reason if expected else None)


@pytest.mark.parametrize("dialect", CHATS)
def test_a_refusal_is_not_worth_keeping(dialect):
    message = Message(role=Role.ASSISTANT, parts=(Refusal("no"),))
    body = plain(
        dialect,
        ChatResponse(id="c", served_model="m", message=message, finish_reason=FinishReason.STOP),
    )

    assert keeping(dialect).good_end(body) is None


def test_an_answer_is_worth_keeping_only_if_all_its_choices_are():
    good = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    bad = good | {"finish_reason": "content_filter"}
    odd = good | {"finish_reason": "eos"}

    kept = [
        keeping("openai_chat").good_end(json.dumps({"choices": choices}).encode()) is not None
        for choices in ([good, good], [good, bad], [odd], [good | {"finish_reason": None}])
    ]

    assert kept == [True, False, False, False]


def test_embeddings_are_worth_keeping_if_they_hold_vectors():
    good_end = keeping("openai_embeddings").good_end

    assert good_end(b'{"data": [{"embedding": [0.5]}]}') is FinishReason.UNSPECIFIED
    assert good_end(b'{"data": []}') is None
    assert good_end(b'{"error": "x"}') is None


# ----------------------------------------------------------------- canonical requests

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def form_of(dialect: str = "openai_chat", **members: object) -> bytes:
    return keeping(dialect).canonical(json.dumps(CHAT | members).encode()).form


@pytest.mark.parametrize(
    "members",
    [
        {"stream": True},
        {"stream": False},
        {"stream_options": {"include_usage": True}},
        {"user": "u-1"},
        {"metadata": {"a": "b"}},
    ],
)
def test_how_a_chat_travels_and_who_is_said_to_ask_changes_nothing(members):
    assert form_of(**members) == form_of()


@pytest.mark.parametrize(
    "members",
    [
        {"model": "n"},
        {"temperature": 0},
        {"temperature": None},
        {"seed": 1},
        {"n": 2},
        {"store": True},
        {"unknown": 1},
        {"messages": [{"role": "user", "content": "hi", "user": "u"}]},
    ],
)
def test_everything_else_of_a_chat_does(members):
    assert form_of(**members) != form_of()


@pytest.mark.parametrize(
    ("members", "alike"),
    [
        ({}, True),
        ({"n": 1, "logprobs": False, "modalities": ["text"], "functions": []}, True),
        ({"n": None}, True),
        ({"n": 2}, False),
        ({"logprobs": True}, False),
        ({"modalities": ["text", "audio"]}, False),
        ({"web_search_options": {}}, False),
    ],
)
def test_what_the_neutral_form_cannot_hold_is_not_told_alike(members, alike):
    body = json.dumps(CHAT | members).encode()

    assert keeping("openai_chat").canonical(body).tells_alike is alike


FULL = gateway_service_pb2.ChatRequest(
    model="m",
    messages=[{"role": "ROLE_USER", "parts": [{"text": "hi"}]}],
    tools=[{"name": "f", "parameters_json": b"{}"}],
    tool_choice={"mode": "TOOL_CHOICE_MODE_NAMED", "name": "f"},
    parallel_tool_calls=False,
    response_format={"kind": "RESPONSE_FORMAT_KIND_JSON_SCHEMA", "schema_json": b"{}"},
    max_output_tokens=0,
    temperature=0,
    top_p=0,
    stop_sequences=["x"],
    seed=0,
    frequency_penalty=0,
    presence_penalty=0,
    reasoning_effort="",
    metadata={"who": "ada"},
    extra_json=b"{}",
    top_k=0,
    reasoning_budget_tokens=0,
    show_reasoning=False,
    verbosity="",
    user="ada",
    extra_dialect="openai_chat",
)


@pytest.mark.parametrize("field", [field.name for field in FULL.DESCRIPTOR.fields])
def test_every_field_of_a_typed_request_changes_its_form_but_for_who_asks(field):
    less = gateway_service_pb2.ChatRequest.FromString(FULL.SerializeToString())
    less.ClearField(field)
    canonical = keeping("meshgate_chat").canonical

    forms = {canonical(each.SerializeToString()).form for each in (FULL, less)}

    assert less != FULL
    assert len(forms) == (1 if field in {"metadata", "user"} else 2)


def test_json_within_typed_requests_has_one_form_as_well():
    one = gateway_service_pb2.ChatRequest(model="m", extra_json=b'{"a": 1, "b": 2}')
    other = gateway_service_pb2.ChatRequest(model="m", extra_json=b'{"b":2,"a":1}')
    one.metadata["who"] = "ada"
    canonical = keeping("meshgate_chat").canonical

    assert canonical(one.SerializeToString()) == canonical(other.SerializeToString())
