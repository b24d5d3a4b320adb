import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.openai_api.model_name import retarget
from meshgate.dialects.openai_chat.read_request import read, read_head
from meshgate.runtime.errors import InvalidRequestError

HELLO = [{"role": "user", "content": "Hi"}]


def body(**members):
    return json.dumps({"model": "gpt-4o", "messages": HELLO} | members).encode()


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, RequestHead("gpt-4o")),
        ({"stream": False}, RequestHead("gpt-4o")),
        ({"stream": None, "stream_options": None}, RequestHead("gpt-4o")),
        ({"stream": True}, RequestHead("gpt-4o", stream=True)),
        ({"stream": True, "stream_options": {}}, RequestHead("gpt-4o", stream=True)),
        (
            {"stream": True, "stream_options": {"include_usage": True, "new": 1}},
            RequestHead("gpt-4o", stream=True, include_usage=True),
        ),
        ({"temperature": "hot", "unknown": [{}]}, RequestHead("gpt-4o")),
    ],
)
def test_the_head_is_what_routing_needs(members, expected):
    head = read_head(body(**members))

    assert head == expected


@pytest.mark.parametrize(
    ("sent", "field", "sentence"),
    [
        (b"{}", "model", "you must provide a model parameter"),
        (body(model=""), "model", "you must provide a model parameter"),
        (
            body(model=7),
            "model",
            "Invalid type for 'model': expected a string, but got an integer instead.",
        ),
        (
            body(model=None),
            "model",
            "Invalid type for 'model': expected a string, but got null instead.",
        ),
        (body(model="m" * 600), "model", "Invalid value for 'model': "),
        (b'{"model":"m"}', "messages", "Missing required parameter: 'messages'."),
        (body(messages=[]), "messages", "Invalid value for 'messages': "),
        (
            body(messages="Hi"),
            "messages",
            "Invalid type for 'messages': expected an array, but got a string instead.",
        ),
        (
            body(messages=["Hi"]),
            "messages[0]",
            "Invalid type for 'messages[0]': expected an object, but got a string instead.",
        ),
        (
            body(stream="yes"),
            "stream",
            "Invalid type for 'stream': expected a boolean or null, but got a string instead.",
        ),
        (body(stream_options=[]), "stream_options", "Invalid type for 'stream_options': "),
        (b"[]", None, "The body of your request must be a JSON object."),
        (b"7", None, "The body of your request must be a JSON object."),
        (b"", None, "We could not parse the JSON body of your request"),
        (b"{", None, "We could not parse the JSON body of your request"),
        (body()[:-1], None, "We could not parse the JSON body of your request"),
        (body() + b"}", None, "We could not parse the JSON body of your request"),
        (b"\xef\xbb\xbf" + body(), None, "We could not parse the JSON body of your request"),
        (
            b'{"model":"m","messages":[{"x":NaN}]}',
            None,
            "We could not parse the JSON body of your request",
        ),
        (
            b'{"model":"m","messages":[{"x":"\\ud800"}]}',
            None,
            "We could not parse the JSON body of your request",
        ),
        (
            b'{"model":"m","messages":[{"x":"\xff"}]}',
            None,
            "The body of your request is not valid UTF-8.",
        ),
        (
            b'{"model":"m","messages":[{"x":' + b"[" * 100_000,
            None,
            "The body of your request is nested too deeply.",
        ),
        (
            b'{"model":"m","messages":[{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
            None,
            "The body of your request is nested too deeply.",
        ),
    ],
)
@pytest.mark.parametrize("job", [read_head, read])
def test_what_is_wrong_is_said_in_openais_words(job, sent, field, sentence):
    with pytest.raises(InvalidRequestError) as caught:
        job(sent)

    assert caught.value.message.startswith(sentence)
    assert caught.value.field == field


def test_huge_numbers_are_left_to_the_upstream():
    sent = b'{"model":"m","messages":[{"role":"user","x":' + b"9" * 5000 + b',"y":1e99999}]}'

    head = read_head(sent)

    assert head.model == "m"


@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]":,model\\utrue0 ', max_size=60).map(str.encode)
)
def test_no_body_breaks_the_reader(sent):
    with suppress(InvalidRequestError):
        read_head(sent)


def test_only_the_top_levels_model_is_replaced():
    messages = [{"role": "user", "content": '{"model":"x"}', "model": "gpt-4o"}]
    sent = body(messages=messages, tools=[{"model": "model"}], metadata={"model": "gpt-4o"})

    written = retarget(sent, "llama", read_head(sent))

    assert msgspec.json.decode(written) == {
        "model": "llama",
        "messages": messages,
        "tools": [{"model": "model"}],
        "metadata": {"model": "gpt-4o"},
    }


def test_other_members_keep_their_bytes_and_their_order():
    sent = (
        b'{ "z": 1.0e+2,\n "messages" : [ {"content" : "\\u00e9\\/ \xc3\xa9"} ],'
        b'  "model" : "a\\"b" , "seed":123456789012345678901234567890 , "a":{"b" :[ ] } }'
    )

    written = retarget(sent, "c", read_head(sent))

    assert written == (
        b'{"z":1.0e+2,"messages":[ {"content" : "\\u00e9\\/ \xc3\xa9"} ],'
        b'"model":"c","seed":123456789012345678901234567890,"a":{"b" :[ ] }}'
    )


@pytest.mark.parametrize(
    "sent",
    [
        b'{"model":"cheap","messages":[{}],"model":"dear"}',
        b'{"model":"cheap","messages":[{}],"\\u006dodel":"dear"}',
        b'{"mod\\u0065l":"dear","messages":[{"model":"dear"}]}',
    ],
)
def test_no_second_model_reaches_the_upstream(sent):
    head = read_head(sent)

    written = retarget(sent, "target", head)

    assert head.model == "dear"
    pairs = json.loads(written, object_pairs_hook=list)
    assert [value for name, value in pairs if name == "model"] == ["target"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        ({"stream_options": {"new": 1}}, {"new": 1, "include_usage": True}),
        ({"stream_options": {"include_usage": True}}, {"include_usage": True}),
    ],
)
def test_the_upstream_of_a_stream_is_always_asked_for_usage(options, expected):
    sent = body(stream=True, **options)

    written = retarget(sent, "m", read_head(sent))

    assert msgspec.json.decode(written)["stream_options"] == expected


def test_a_plain_request_is_not_given_stream_options():
    sent = body()

    written = retarget(sent, "m", read_head(sent))

    assert msgspec.json.decode(written) == {"model": "m", "messages": HELLO}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "stream_options", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["x", "tools", "user", "é"]), json_values),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.booleans(),
)
@settings(deadline=None)
def test_retargeting_changes_the_model_and_nothing_else(members, model, ascii_only):
    whole = {"messages": [{"x": members}], "model": "before"} | members
    sent = json.dumps(whole, ensure_ascii=ascii_only).encode()

    written = retarget(sent, model, read_head(sent))

    assert json.loads(written) == whole | {"model": model}
