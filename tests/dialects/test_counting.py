"""What there is to count where an upstream reports no usage."""

import json

import pytest
from dialects.neutral_values import requests, responses
from hypothesis import given, settings
from hypothesis import strategies as st

from meshgate.dialects.counting import (
    AUDIO_TOKENS,
    FILE_TOKENS,
    IMAGE_TOKENS,
    LOW_DETAIL_IMAGE_TOKENS,
    CountableText,
)
from meshgate.dialects.meshgate_chat.dialect import DIALECT as MESHGATE
from meshgate.dialects.metering import meter
from meshgate.dialects.openai_chat.dialect import DIALECT as OPENAI
from meshgate.dialects.translation import translator
from meshgate.runtime.errors import UnsupportedError

OPENAI_CHAT = meter("openai_chat")
MESHGATE_CHAT = meter("meshgate_chat")
EMBEDDINGS = meter("openai_embeddings")
PICTURE = "data:image/png;base64,AAAA"


def asked(*messages, **members):
    body = json.dumps({"model": "m", "messages": messages} | members).encode()
    return OPENAI_CHAT.countable_text(body)


def embedded(given_input):
    return EMBEDDINGS.countable_text(json.dumps({"model": "m", "input": given_input}).encode())


def user(*parts):
    return {"role": "user", "content": list(parts)}


def test_every_text_of_a_request_counts():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    said = asked(
        {"role": "system", "content": "be kind"},
        user({"type": "text", "text": "one"}, {"type": "text", "text": "two"}) | {"name": "ann"},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "result"},
        {"role": "assistant", "content": "", "refusal": "no"},
    )

    texts = ["be kind", "ann", "one", "two", "hm", "f", '{"a":1}', "result", "no"]
    assert said == CountableText(texts=texts, message_count=5)


def test_tools_and_schemas_count_as_their_json():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}

    said = asked(user(), tools=[tool], functions=[{"name": "g"}], response_format=form)

    assert [json.loads(text) for text in said.texts] == [tool, {"name": "g"}, form["json_schema"]]


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"type": "image_url", "image_url": {"url": PICTURE}}, IMAGE_TOKENS),
        ({"type": "image_url", "image_url": {"url": PICTURE, "detail": "high"}}, IMAGE_TOKENS),
        ({"type": "image_url", "image_url": {"detail": "low"}}, LOW_DETAIL_IMAGE_TOKENS),
        ({"type": "image_url", "image_url": PICTURE}, IMAGE_TOKENS),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, AUDIO_TOKENS),
        ({"type": "file", "file": {"file_id": "f"}}, FILE_TOKENS),
    ],
)
def test_what_is_no_text_counts_flat(part, tokens):
    assert asked(user(part)) == CountableText(texts=[], message_count=1, other_tokens=tokens)


def test_parts_of_an_unknown_kind_count_as_their_json():
    part = {"type": "thinking", "thinking": [{"text": "hm"}]}

    (text,) = asked(user(part)).texts

    assert json.loads(text) == part


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_embeddings", "meshgate_chat"])
@pytest.mark.parametrize("body", [b"", b"[", b"\xff", b"7", b"[" * 100_000])
def test_what_cannot_be_read_is_text(dialect, body):
    said = meter(dialect).countable_text(body)

    assert said == CountableText(texts=[body.decode(errors="replace")])


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5))
@settings(deadline=None)
def test_no_shape_of_a_request_breaks_the_counting(value):
    parts = [value, {"type": value}, {"type": "text", "text": value}, {"type": "image_url"}]
    messages = [value, {"content": value, "tool_calls": value}, user(*parts)]

    asked(*messages, tools=value, functions=value, response_format={"json_schema": value})

    assert OPENAI_CHAT.answer_texts(json.dumps({"choices": value}).encode()) == []


@pytest.mark.parametrize("depth", range(800, 1000, 7))
def test_no_depth_hides_a_text(depth):
    part = b'{"type":"new","at":' + b"[" * depth + b'"deep"' + b"]" * depth + b"}"
    body = b'{"messages":[{"content":[' + part + b"]}]}"

    assert "deep" in "".join(OPENAI_CHAT.countable_text(body).texts)


def test_numbers_of_any_size_count():
    (text,) = asked(user(), tools=[{"maximum": 2**70}]).texts

    assert text == '{"maximum":1180591620717411303424}'


@given(requests)
@settings(deadline=None)
def test_a_typed_request_counts_as_much_as_the_same_one_of_openai(request):
    typed = MESHGATE_CHAT.countable_text(MESHGATE.write_request(request, "m", stream=False))
    openai = OPENAI_CHAT.countable_text(OPENAI.write_request(request, "m", stream=False))

    messages = len([text for text in typed.texts if not text.startswith("{")])
    assert sorted(typed.texts[:messages]) == sorted(openai.texts[:messages])
    assert (typed.other_tokens, typed.message_count) == (openai.other_tokens, openai.message_count)


def test_a_typed_requests_tools_count_as_their_json():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    messages = [{"role": "user", "content": "hi"}]
    body = json.dumps({"model": "m", "messages": messages, "tools": [tool]}).encode()
    typed = MESHGATE.write_request(OPENAI.read_request(body), "m", stream=False)

    said = MESHGATE_CHAT.countable_text(typed)

    assert said.texts[0] == "hi"
    assert json.loads(said.texts[1]) == {
        "name": "f",
        "description": "",
        "parameters": {"type": "object"},
    }


@pytest.mark.parametrize(
    ("given_input", "texts", "tokens"),
    [
        ("a", ["a"], 0),
        (["a", "b"], ["a", "b"], 0),
        ([1, 2, 3], [], 3),
        ([[1, 2], [3]], [], 3),
    ],
)
def test_inputs_cut_into_tokens_count_as_many_as_they_are(given_input, texts, tokens):
    assert embedded(given_input) == CountableText(texts=texts, other_tokens=tokens)


@given(responses)
@settings(deadline=None)
def test_an_answer_says_the_same_in_every_dialect(response):
    typed = MESHGATE_CHAT.answer_texts(MESHGATE.write_response(response, created=1))
    openai = OPENAI_CHAT.answer_texts(OPENAI.write_response(response, created=1))

    assert typed == openai
    assert all(typed)


def test_all_choices_of_an_answer_count():
    choices = [{"message": {"content": text}} for text in ("a", "b", None, [{"text": "c"}])]
    body = json.dumps({"choices": [*choices, {}, 7]}).encode()

    assert OPENAI_CHAT.answer_texts(body) == ["a", "b", '{"text":"c"}']


def test_vectors_are_no_output():
    assert EMBEDDINGS.answer_texts(b'{"data":[{"embedding":[0.1]}]}') == []


@pytest.mark.parametrize("dialect", ["openai_chat", "meshgate_chat"])
def test_an_answer_that_cannot_be_read_is_text(dialect):
    assert meter(dialect).answer_texts(b"\xff") == ["\ufffd"]


def test_a_dialect_that_nobody_speaks_cannot_be_counted():
    with pytest.raises(UnsupportedError):
        meter("latin")


@pytest.mark.parametrize("dialect", ["anthropic_token_count", "gemini_token_count"])
def test_to_count_tokens_is_free(dialect: str) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"contents":[]}'

    request = translator(dialect, dialect).request(body, "theirs", stream=False)

    assert request.head.is_free
