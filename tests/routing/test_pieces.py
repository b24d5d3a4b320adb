"""An answer that is put together of what is kept and what is new says what one in one piece says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing.metering_values import EMBEDDINGS, asked

from meshgate.dialects.keeping import keeping
from meshgate.dialects.neutral import Usage
from meshgate.routing.fingerprint import fingerprint
from meshgate.routing.peers.cache import Place
from meshgate.routing.pieces import Pieces
from meshgate.routing.question import Question
from meshgate.runtime.errors import UpstreamFailedError
from meshgate.v1 import cache_service_pb2 as pb

KEPT = keeping("openai_embeddings")
lists = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12)


def question(inputs: list[str]) -> Question:
    return asked(json.dumps({"model": "m", "input": inputs}).encode(), dialect=EMBEDDINGS)


def pieces(inputs: list[str]) -> Pieces:
    found = fingerprint(question(inputs), KEPT)
    places = [Place("acme", each.digest) for each in found.pieces]
    return Pieces(KEPT.piecewise, places, [len(each) for each in inputs])


def upstream(body: bytes) -> bytes:
    """Answers with a vector that tells texts apart; every text is three tokens."""
    inputs = json.loads(body)["input"]
    items = [
        {"object": "embedding", "index": index, "embedding": [ord(text), 0.5]}
        for index, text in enumerate(inputs)
    ]
    usage = {"prompt_tokens": 3 * len(inputs), "total_tokens": 3 * len(inputs)}
    told = {"object": "list", "data": items, "model": "up", "usage": usage}
    return json.dumps(told).encode()


def made(body: bytes) -> pb.CacheEntry:
    tokens = json.loads(body)["usage"]["prompt_tokens"]
    return pb.CacheEntry(
        dialect=EMBEDDINGS,
        body=body,
        served_model="up",
        provider="a",
        usage={"input_tokens": tokens},
        cost_nanos=10 * tokens,
    )


class Shelf:
    """What is kept, and the requests that went upstream for it."""

    def __init__(self) -> None:
        self.entries: dict[Place, pb.CacheEntry] = {}
        self.asked: list[list[str]] = []

    def answer(self, inputs: list[str]) -> dict[str, Any]:
        """Ask as Caching does."""
        wanted = pieces(inputs)
        entry = wanted.take([self.entries.get(place) for place in wanted.places])
        if entry is not None:
            return json.loads(entry.body)
        body = wanted.narrowed(question(inputs)).body
        self.asked.append(json.loads(body)["input"])
        reply = upstream(body)
        fresh = wanted.read(reply)
        assert fresh is not None
        self.entries |= dict(wanted.entries(made(reply), fresh))
        usage = Usage(input_tokens=json.loads(reply)["usage"]["prompt_tokens"])
        return json.loads(wanted.completed(reply, fresh, usage))


@given(st.lists(lists, min_size=1, max_size=6))
def test_whatever_is_kept_of_a_list_its_vectors_are_those_of_the_upstream(requests: Any):
    shelf = Shelf()

    for inputs in requests:
        told = shelf.answer(inputs)

        assert told["data"] == json.loads(upstream(question(inputs).body))["data"]
        assert told["model"] == "up"


@given(st.lists(lists, min_size=1, max_size=6))
def test_each_text_goes_upstream_once(requests: Any):
    shelf = Shelf()

    for inputs in requests:
        shelf.answer(inputs)

    went = [text for texts in shelf.asked for text in texts]
    assert sorted(went) == sorted({text for inputs in requests for text in inputs})


@given(st.lists(lists, min_size=1, max_size=6))
def test_an_answer_tells_the_usage_of_each_different_text(requests: Any):
    shelf = Shelf()

    for inputs in requests:
        assert shelf.answer(inputs)["usage"]["prompt_tokens"] == 3 * len(set(inputs))


@given(lists, lists)
def test_what_was_found_and_what_was_asked_are_all_that_was_consumed(one: Any, other: Any):
    shelf = Shelf()
    shelf.answer(one)
    wanted = pieces(other)

    whole = wanted.take([shelf.entries.get(place) for place in wanted.places])

    known = set(one) & set(other)
    assert wanted.found.usage == (Usage(input_tokens=3 * len(known)) if known else None)
    assert wanted.found.cost_nanos == (30 * len(known) if known else None)
    assert (whole is not None) == (set(other) <= set(one))


def test_a_request_of_which_nothing_is_kept_goes_and_comes_byte_for_byte():
    wanted, asks = pieces(["a", "b"]), question(["a", "b"])
    reply = upstream(asks.body)

    assert wanted.narrowed(asks).body == asks.body
    assert wanted.completed(reply, wanted.read(reply) or {}, None) == reply


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", upstream(b'{"input": ["a", "b"]}')])
def test_an_entry_that_cannot_be_read_is_missing(body: bytes):
    wanted = pieces(["a", "b"])

    assert wanted.take([made(upstream(b'{"input": ["a"]}')), pb.CacheEntry(body=body)]) is None

    assert json.loads(wanted.narrowed(question(["a", "b"])).body)["input"] == ["b"]


def test_what_is_forgotten_is_asked_again():
    wanted, asks = pieces(["a", "b"]), question(["a", "b"])
    wanted.take([made(upstream(b'{"input": ["a"]}')), None])

    wanted.forget()

    assert wanted.narrowed(asks).body == asks.body
    assert wanted.saved is None


def test_nothing_can_be_made_of_a_part_that_does_not_fit():
    nonsense = upstream(b'{"input": ["a", "b", "c"]}')
    part = pieces(["a", "b"])
    part.take([made(upstream(b'{"input": ["a"]}')), None])

    assert pieces(["a", "b"]).read(nonsense) is None
    with pytest.raises(UpstreamFailedError):
        part.read(nonsense)


def test_the_whole_says_what_all_of_it_consumed_for_those_who_wait():
    wanted = pieces(["a", "b"])
    wanted.take([made(upstream(b'{"input": ["a"]}')), None])

    whole = wanted.whole(made(upstream(b'{"input": ["b"]}')), b"all")

    assert (whole.body, whole.usage.input_tokens, whole.cost_nanos) == (b"all", 6, 60)
