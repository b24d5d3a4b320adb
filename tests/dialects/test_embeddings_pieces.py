"""Embeddings, input by input: what each is, and answers that are cut and put together again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.keeping import keeping
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_embeddings import inputs, vectors
from meshgate.dialects.openai_embeddings.read_request import read
from meshgate.dialects.pieces import MOST_PIECES, RequestPiece

token_lists = st.lists(st.integers(0, 200_000), min_size=1, max_size=4)
input_lists = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1) | st.lists(
    token_lists, min_size=1
)
VECTOR = b"[0.10, -1E-3, 1.0000000000000000000001]"


def pieces_of(given: Any, **members: Any) -> tuple[RequestPiece, ...]:
    body = json.dumps({"model": "m", "input": given} | members).encode()
    return keeping("openai_embeddings").canonical(body).pieces


def answer(*indices: int, **members: Any) -> bytes:
    items = [{"object": "embedding", "index": index, "embedding": [index]} for index in indices]
    told = {"object": "list", "data": items, "model": "up", "usage": {"prompt_tokens": 9}}
    return json.dumps(told | members).encode()


# ----------------------------------------------------------------- requests


@given(input_lists)
def test_each_input_is_the_same_as_a_request_for_it_alone(given: list[Any]):
    pieces = pieces_of(given)

    assert list(pieces) == [pieces_of(each)[0] for each in given]
    assert list(pieces) == [pieces_of([each])[0] for each in given]


@given(input_lists, st.data())
def test_equal_inputs_are_equal_pieces_and_others_are_not(given: list[Any], data: Any):
    one, other = data.draw(st.sampled_from(given)), data.draw(st.sampled_from(given))

    assert (pieces_of(one)[0].form == pieces_of(other)[0].form) == (one == other)


@pytest.mark.parametrize(
    "members", [{"dimensions": 8}, {"encoding_format": "base64"}, {"model": "n"}, {"x": 1}]
)
def test_what_changes_the_answer_changes_each_piece(members: dict[str, Any]):
    for one, other in zip(pieces_of(["a", "b"]), pieces_of(["a", "b"], **members), strict=True):
        assert one.form != other.form


def test_who_is_said_to_ask_does_not():
    assert pieces_of(["a"], user="me") == pieces_of(["a"])


def test_one_input_is_the_same_by_itself_and_as_a_list_of_one():
    canonical = keeping("openai_embeddings").canonical

    assert canonical(b'{"model": "m", "input": ["a"]}') == canonical(b'{"input":"a","model":"m"}')


def test_texts_are_measured_in_bytes_and_tokens_are_counted():
    assert [piece.text_bytes for piece in pieces_of(["é", "abc"])] == [2, 3]
    assert [piece.tokens for piece in pieces_of([[7, 8, 9], [7]])] == [3, 1]


@pytest.mark.parametrize(
    "given", [[], [[]], [[1], []], ["a", [1]], [True], None, 1, {}, ["a"] * (MOST_PIECES + 1)]
)
def test_what_is_of_no_known_kind_or_too_much_has_no_pieces(given: Any):
    assert pieces_of(given) == ()


@given(input_lists, st.data())
def test_a_narrowed_request_asks_for_these_inputs_and_says_all_else(given: list[Any], data: Any):
    positions = data.draw(st.lists(st.integers(0, len(given) - 1), min_size=1))
    body = json.dumps({"model": "m", "input": given, "dimensions": 3, "x": {"y": 1.50}}).encode()

    narrowed = inputs.narrowed(body, positions)

    some = [given[position] for position in positions]
    assert json.loads(narrowed) == json.loads(body) | {"input": some}
    assert len(read(narrowed).inputs) == len(positions)


# ----------------------------------------------------------------- answers


@given(st.permutations(range(5)))
def test_vectors_come_in_the_order_of_their_numbers(order: list[int]):
    pieces = vectors.read(answer(*order), 5)

    assert json.loads(vectors.write(pieces, None))["data"] == json.loads(answer(*range(5)))["data"]


def test_numbers_stay_as_the_upstream_wrote_them():
    body = b'{"object": "list", "data": [{"index": 0, "embedding": %s}]}' % VECTOR

    [piece] = vectors.read(body, 1)

    assert vectors.write([piece, piece], None) == (
        b'{"object":"list","data":[{"index":0,"embedding":%s},{"index":1,"embedding":%s}]}'
        % (VECTOR, VECTOR)
    )


def test_an_answer_says_what_it_consumed_or_nothing_of_it():
    pieces = vectors.read(answer(0, 1, id="e-1"), 2)

    told = json.loads(vectors.write(pieces, Usage(input_tokens=4)))
    silent = json.loads(vectors.write(pieces, None))

    assert told["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert (told["id"], told["model"], told["object"]) == ("e-1", "up", "list")
    assert "usage" not in silent


@pytest.mark.parametrize(
    "body",
    [
        answer(0),
        answer(0, 1, 2),
        answer(0, 0),
        answer(1, 2),
        answer(-1, 0),
        answer(data=[{"embedding": [1]}, {"embedding": [2]}]),
        answer(data=[{"index": 0, "embedding": None}, {"index": 1, "embedding": [1]}]),
        answer(data=[{"index": 0}, {"index": 1}]),
        answer(data=None),
        answer(data=[1, 2]),
        b'{"model": "up"}',
        b"[]",
        b"\xff",
        b"",
    ],
)
def test_an_answer_that_has_not_one_vector_for_each_input_is_not_cut(body: bytes):
    assert vectors.read(body, 2) is None
