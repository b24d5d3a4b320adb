"""How much may be written: as the caller asks, and as the gateway caps it."""

import json

import msgspec
import pytest
from dialects.neutral_values import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from meshgate.dialects.chat_dialect import ChatDialect
from meshgate.dialects.meshgate_chat import read_request as typed_request
from meshgate.dialects.meshgate_chat.dialect import DIALECT as MESHGATE
from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.openai_chat.dialect import DIALECT as OPENAI
from meshgate.dialects.openai_chat.dialect import dialect as openai_chat
from meshgate.dialects.openai_chat.read_request import read_head
from meshgate.dialects.openai_chat.variant import Variant
from meshgate.dialects.translation import translator
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import chat_pb2, gateway_service_pb2

HELLO = [{"role": "user", "content": "Hi"}]
NEWER = OutputBound.MAX_COMPLETION_TOKENS


def body(**members):
    return json.dumps({"model": "m", "messages": HELLO} | members).encode()


def typed(**members):
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text="Hi")])
    return gateway_service_pb2.ChatRequest(model="m", messages=[message], **members)


@pytest.mark.parametrize(
    ("members", "bound"),
    [
        ({}, None),
        ({"max_tokens": None, "max_completion_tokens": None}, None),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_tokens": None, "max_completion_tokens": 8}, 8),
        ({"max_tokens": 7, "max_completion_tokens": 8}, 8),
        ({"max_tokens": 9, "max_completion_tokens": 8}, 9),
        ({"max_tokens": -1}, None),
        ({"max_tokens": 0}, None),
        ({"max_completion_tokens": 0}, None),
        ({"max_tokens": 9, "max_completion_tokens": -1}, None),
        ({"max_tokens": 2**31 - 1}, 2**31 - 1),
    ],
)
def test_the_bound_is_the_one_that_holds_whatever_the_upstream_goes_by(members, bound):
    assert read_head(body(**members)).max_output_tokens == bound


@pytest.mark.parametrize(
    ("members", "field", "sentence"),
    [
        (
            {"max_tokens": True},
            "max_tokens",
            "Invalid type for 'max_tokens': expected an integer or null, but got a boolean",
        ),
        ({"max_tokens": 1.5}, "max_tokens", "Invalid type for 'max_tokens': expected an integer"),
        ({"max_tokens": "9"}, "max_tokens", "Invalid type for 'max_tokens': expected an integer"),
        ({"max_tokens": [9]}, "max_tokens", "Invalid type for 'max_tokens': expected an integer"),
        ({"max_tokens": 2**31}, "max_tokens", "Invalid value for 'max_tokens': "),
        ({"max_completion_tokens": 2**80}, "max_completion_tokens", "Invalid value for "),
        ({"max_completion_tokens": False}, "max_completion_tokens", "Invalid type for "),
        ({"n": 0}, "n", "Invalid value for 'n': "),
        ({"n": -1}, "n", "Invalid value for 'n': "),
        ({"n": 129}, "n", "Invalid value for 'n': "),
        ({"n": True}, "n", "Invalid type for 'n': expected an integer or null"),
        ({"n": "2"}, "n", "Invalid type for 'n': expected an integer or null"),
    ],
)
def test_what_bounds_nothing_is_refused_in_openais_words(members, field, sentence):
    with pytest.raises(InvalidRequestError) as caught:
        read_head(body(**members))

    assert caught.value.message.startswith(sentence)
    assert caught.value.field == field


@pytest.mark.parametrize(("members", "choices"), [({}, 1), ({"n": None}, 1), ({"n": 128}, 128)])
def test_the_head_says_how_many_choices_are_asked_for(members, choices):
    assert read_head(body(**members)).choices == choices


@pytest.mark.parametrize(("members", "bound"), [({}, None), ({"max_output_tokens": 9}, 9)])
def test_a_typed_request_has_a_bound_of_its_own(members, bound):
    request = typed(**members)

    head = typed_request.read_head(request.SerializeToString())

    assert head.max_output_tokens == bound
    assert typed_request.head_of(request, stream=True) == msgspec.structs.replace(head, stream=True)


@pytest.mark.parametrize("bound", [0, -1])
@pytest.mark.parametrize("job", [typed_request.read_head, typed_request.read])
def test_a_typed_request_for_less_than_one_token_is_refused(job, bound):
    with pytest.raises(InvalidRequestError) as caught:
        job(typed(max_output_tokens=bound).SerializeToString())

    assert caught.value.field == "max_output_tokens"


def passed(sent, output_cap, bound=OutputBound.MAX_TOKENS):
    """What the upstream of a chat that passes through is sent."""
    chat = translator("openai_chat", "openai_chat", bound)
    return chat.request(sent, "m", stream=False, output_cap=output_cap).body


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"max_tokens": 99}, {"max_tokens": 50}),
        ({"max_tokens": 20}, {"max_tokens": 20}),
        ({"max_completion_tokens": 99}, {"max_completion_tokens": 50}),
        (
            {"max_tokens": 20, "max_completion_tokens": 99},
            {"max_tokens": 20, "max_completion_tokens": 50},
        ),
        ({"max_tokens": -1}, {"max_tokens": 50}),
        ({"max_tokens": 0}, {"max_tokens": 50}),
        ({"n_predict": 9000}, {"n_predict": 50, "max_tokens": 50}),
        ({"n_predict": "many"}, {"n_predict": 50, "max_tokens": 50}),
        ({"max_tokens": 9, "max_new_tokens": 99}, {"max_tokens": 9, "max_new_tokens": 50}),
        ({"MAX_Tokens": 99}, {"MAX_Tokens": 50, "max_tokens": 50}),
        ({"metadata": {"max_tokens": 99}}, {"metadata": {"max_tokens": 99}, "max_tokens": 50}),
    ],
)
def test_a_cap_lowers_every_bound_that_the_caller_set(members, expected):
    written = msgspec.json.decode(passed(body(**members), 50))

    assert written == {"model": "m", "messages": HELLO} | expected


@pytest.mark.parametrize("bound", list(OutputBound))
@pytest.mark.parametrize("members", [{}, {"max_tokens": None}, {"max_completion_tokens": None}])
def test_where_the_caller_sets_no_bound_the_upstream_is_told_in_its_own_way(members, bound):
    written = msgspec.json.decode(passed(body(**members), 50, bound))

    assert {name: value for name, value in written.items() if value == 50} == {bound.value: 50}


def test_a_bound_written_twice_is_capped():
    sent = b'{"model":"m","messages":[{}],"max_tokens":1,"max\\u005ftokens":900,"max_tokens":800}'

    pairs = json.loads(passed(sent, 50), object_pairs_hook=list)

    assert [value for name, value in pairs if name == "max_tokens"] == [50]


@given(
    st.dictionaries(
        st.sampled_from(["max_tokens", "max_completion_tokens", "n", "x"]), st.integers(1, 100)
    ),
    st.sampled_from([None, *OutputBound]),
)
@settings(deadline=None)
def test_without_a_cap_the_bytes_stay_as_they_are(members, bound):
    sent = json.dumps({"messages": HELLO, "model": "m"} | members, separators=(",", ":")).encode()

    written = passed(sent, None, bound) if bound else passed(sent, None)

    assert written == sent


@given(requests, st.integers(1, 2**31 - 1), st.sampled_from(OutputBound))
@settings(deadline=None)
def test_a_translated_request_is_capped_and_changed_in_nothing_else(request, output_cap, bound):
    asked = min(request.max_output_tokens or output_cap, output_cap)
    upstream: ChatDialect = openai_chat(Variant(output_bound=bound))

    typed_cap = MESHGATE.write_request(request, "m", stream=False, output_cap=output_cap)
    openai_cap = upstream.write_request(request, "m", stream=True, output_cap=output_cap)

    capped = msgspec.structs.replace(request, max_output_tokens=asked, model="m")
    said = "openai_chat" if request.extra_json else ""
    assert MESHGATE.read_request(typed_cap) == capped
    assert OPENAI.read_request(openai_cap) == msgspec.structs.replace(capped, extra_dialect=said)
    assert msgspec.json.decode(openai_cap)[bound.value] == asked


def test_a_cap_holds_for_what_a_typed_request_says_besides():
    request = typed(max_output_tokens=90, extra_json=b'{"n_predict":70,"top_k":3,"NUM_PREDICT":80}')
    chat = translator("meshgate_chat", "openai_chat", NEWER)

    sent = chat.request(request.SerializeToString(), "m", stream=False, output_cap=50)

    assert msgspec.json.decode(sent.body) == {
        "model": "m",
        "messages": HELLO,
        "max_completion_tokens": 50,
        "n_predict": 50,
        "top_k": 3,
        "NUM_PREDICT": 50,
    }
    assert sent.head.max_output_tokens == 90


def test_embeddings_have_no_output_to_be_capped():
    sent = b'{"model":"m","input":"a"}'

    written = translator("openai_embeddings", "openai_embeddings").request(
        sent, "m", stream=False, output_cap=50
    )

    assert written.body == sent
    assert written.head.max_output_tokens == 0
