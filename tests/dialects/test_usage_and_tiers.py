"""Service tiers: what requests ask for, and what answers say was served."""

import json

import pytest

from meshgate.dialects.meshgate_chat import read_request as meshgate_chat
from meshgate.dialects.meshgate_chat.usage import read_usage, write_usage
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_chat import passthrough as chat
from meshgate.dialects.openai_chat import read_request as openai_chat
from meshgate.dialects.openai_chat import read_response as chat_response
from meshgate.dialects.openai_choices.stream_tracker import StreamTracker
from meshgate.dialects.openai_completions import passthrough as completions
from meshgate.dialects.openai_completions import read_request as openai_completions
from meshgate.dialects.openai_completions import read_response as completions_response
from meshgate.dialects.openai_embeddings import passthrough as embeddings
from meshgate.dialects.openai_embeddings import read_request as openai_embeddings
from meshgate.v1 import chat_pb2, gateway_service_pb2

HELLO = [{"role": "user", "content": "Hi"}]
COUNTS = {"prompt_tokens": 3, "completion_tokens": 4}
DONE = b"data: [DONE]\n\n"


def asking(tier: object) -> dict[str, bytes]:
    """A request of each dialect that names a tier."""
    member = {"model": "m", "service_tier": tier}
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text="Hi")])
    extra = json.dumps({"service_tier": tier}).encode()
    typed = gateway_service_pb2.ChatRequest(model="m", messages=[message], extra_json=extra)
    return {
        "openai_chat": json.dumps(member | {"messages": HELLO}).encode(),
        "openai_completions": json.dumps(member | {"prompt": "Hi"}).encode(),
        "openai_embeddings": json.dumps(member | {"input": "Hi"}).encode(),
        "meshgate_chat": typed.SerializeToString(),
    }


HEADS = {
    "openai_chat": openai_chat.read_head,
    "openai_completions": openai_completions.read_head,
    "openai_embeddings": openai_embeddings.read_head,
    "meshgate_chat": meshgate_chat.read_head,
}


def event(**members: object) -> bytes:
    choice = {"index": 0, "delta": {"content": "a"}, "text": "a", "finish_reason": None}
    whole = {"id": "1", "model": "m", "created": 1, "choices": [choice]} | members
    return b"data: " + json.dumps(whole).encode() + b"\n\n"


@pytest.mark.parametrize("dialect", HEADS)
@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("priority", "priority"),
        (" Priority", "priority"),
        ("auto", "auto"),
        (None, ""),
        (7, ""),
        (["priority"], ""),
        ("x" * 33, ""),
    ],
)
def test_the_tier_that_a_request_names_is_in_its_head(dialect, named, expected) -> None:
    assert HEADS[dialect](asking(named)[dialect]).service_tier == expected


def test_a_typed_request_whose_extras_are_no_json_names_no_tier() -> None:
    request = gateway_service_pb2.ChatRequest.FromString(asking("flex")["meshgate_chat"])
    request.extra_json = b'{"service_tier": '

    assert meshgate_chat.head_of(request, stream=False).service_tier == ""


@pytest.mark.parametrize(
    ("glance", "body"),
    [
        (chat.glance, {"choices": [{"message": {"content": "a"}}]}),
        (completions.glance, {"choices": [{"text": "a"}]}),
        (embeddings.glance, {"data": [{"embedding": [1], "index": 0}]}),
    ],
)
def test_the_tier_of_an_answer_is_part_of_its_usage(glance, body) -> None:
    answer = json.dumps(body | {"usage": COUNTS, "service_tier": "priority"}).encode()

    assert glance(answer).usage == Usage(input_tokens=3, output_tokens=4, service_tier="priority")


@pytest.mark.parametrize("named", [None, 7, {"a": 1}, "x" * 33])
def test_an_answer_with_a_tier_that_makes_no_sense_is_an_answer(named) -> None:
    members = {"choices": [{"message": {"content": "a"}}], "usage": COUNTS, "service_tier": named}

    usage = chat.glance(json.dumps(members).encode()).usage

    assert usage == Usage(input_tokens=3, output_tokens=4)


@pytest.mark.parametrize("telling", ["first", "last"])
@pytest.mark.parametrize(
    "reader", [StreamTracker, chat_response.StreamReader, completions_response.StreamReader]
)
def test_a_stream_may_tell_its_tier_in_any_chunk(reader, telling) -> None:
    following = reader(include_usage=True) if reader is StreamTracker else reader()
    first, last = ({"service_tier": "flex"}, {})
    if telling == "last":
        first, last = last, first
    end = {"index": 0, "delta": {}, "text": "", "finish_reason": "stop"}

    for data in (
        event(**first),
        event(),
        event(choices=[end]),
        event(choices=[], usage=COUNTS, **last),
    ):
        following.feed(data)
    following.feed(DONE)

    assert following.usage == Usage(input_tokens=3, output_tokens=4, service_tier="flex")


class TestParts:
    def test_sounds_pictures_and_long_stays_in_the_cache_are_read(self) -> None:
        object_ = {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "prompt_tokens_details": {
                "cached_tokens": 10,
                "cache_write_tokens": 20,
                "cache_creation_token_details": {"ephemeral_1h_input_tokens": 5},
                "audio_tokens": 30,
                "image_tokens": 7,
            },
            "completion_tokens_details": {"audio_tokens": 40, "image_tokens": 2},
        }

        usage = usage_object.read(json.dumps(object_).encode())

        assert usage == Usage(
            input_tokens=100,
            cached_input_tokens=10,
            cache_creation_input_tokens=20,
            output_tokens=50,
            long_cache_creation_input_tokens=5,
            input_audio_tokens=30,
            output_audio_tokens=40,
            input_image_tokens=7,
            output_image_tokens=2,
        )
        assert usage_object.read(json.dumps(usage_object.write(usage)).encode()) == usage

    def test_what_the_cache_had_a_part_in_was_read_too(self) -> None:
        details = {"cached_tokens": 159_217, "cache_write_tokens": 3}

        usage = usage_object.read(
            json.dumps({"prompt_tokens": 6, "prompt_tokens_details": details}).encode()
        )

        assert usage is not None
        assert usage.input_tokens == 159_220

    @pytest.mark.parametrize("details", [None, {"cached_tokens": 64}])
    def test_deepseeks_word_for_what_was_cached_is_understood(self, details) -> None:
        object_ = {
            "prompt_tokens": 100,
            "prompt_tokens_details": details,
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 36,
        }

        usage = usage_object.read(json.dumps(object_).encode())

        assert usage == Usage(input_tokens=100, cached_input_tokens=64)

    def test_protobuf_holds_all_of_it(self) -> None:
        counts = dict.fromkeys(Usage.__struct_fields__[:-1], 0)
        usage = Usage(**{name: at for at, name in enumerate(counts)}, service_tier="flex")

        assert read_usage(write_usage(usage)) == usage
