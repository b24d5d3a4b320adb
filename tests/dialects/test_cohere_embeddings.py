"""Forms: https://docs.cohere.com/reference/embed and cohere-python 7.3.1."""

import json

import pytest

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.cohere_embeddings.read_response import read
from meshgate.dialects.cohere_embeddings.write_request import write
from meshgate.dialects.neutral import EmbeddingsRequest, Usage
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError


def written(*inputs, **members):
    request = EmbeddingsRequest(model="public", inputs=inputs, **members)
    return json.loads(write(request, "embed-v4.0"))


def test_texts_are_sent_with_what_they_are_for():
    assert written("a", "b", dimensions=256) == {
        "model": "embed-v4.0",
        "texts": ["a", "b"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }


def test_what_they_are_for_can_be_said():
    body = written("a", extra_json=b'{"input_type":"search_query","truncate":"END"}')

    assert body["input_type"] == "search_query"
    assert body["truncate"] == "END"


@pytest.mark.parametrize(
    ("task", "kind"),
    [("retrieval_query", "search_query"), ("clustering", "clustering"), ("", "search_document")],
)
def test_the_task_says_what_they_are_for(task, kind):
    assert written("a", task=task)["input_type"] == kind


def test_a_task_that_cohere_knows_nothing_of_is_refused():
    with pytest.raises(UnsupportedError):
        written("a", task="fact_verification")


def test_applications_may_add_coheres_own_members_to_openais():
    extra = b'{"input_type":"search_query","user":"u-1"}'
    body = written("a", extra_json=extra, extra_dialect="openai_embeddings")

    assert body["input_type"] == "search_query"
    assert "user" not in body


def test_tokens_are_refused():
    with pytest.raises(UnsupportedError):
        written((1, 2), (3,))


def test_extras_cannot_replace_the_texts():
    with pytest.raises(InvalidRequestError):
        written("a", extra_json=b'{"texts":[]}')


def test_vectors_are_read_with_what_is_billed():
    answer = {
        "id": "e1",
        "embeddings": {"float": [[0.5, -1.0], [0, 1]]},
        "texts": ["a", "b"],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 3}},
    }

    response = read(json.dumps(answer).encode())

    assert response.vectors == ((0.5, -1.0), (0.0, 1.0))
    assert response.usage == Usage(input_tokens=3)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"embeddings":{"float":[]}}', b'{"embeddings":[]}'])
def test_what_holds_no_vectors_is_malformed(body):
    with pytest.raises(MalformedAnswerError):
        read(body)
