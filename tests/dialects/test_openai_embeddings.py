import json
from array import array

import msgspec
import pytest
from dialects.neutral_values import extras, names, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from openai.types import CreateEmbeddingResponse

from meshgate.dialects.answers import AnswerGlance, MalformedAnswerError, RequestHead
from meshgate.dialects.neutral import (
    EmbeddingsRequest,
    EmbeddingsResponse,
    EncodingFormat,
    FinishReason,
    Usage,
)
from meshgate.dialects.openai_embeddings import read_response, write_response
from meshgate.dialects.openai_embeddings.passthrough import glance, retarget
from meshgate.dialects.openai_embeddings.read_request import read, read_head
from meshgate.dialects.openai_embeddings.write_request import write
from meshgate.dialects.translation import translator
from meshgate.runtime.errors import InvalidRequestError

token_lists = st.lists(st.integers(0, 200_000), min_size=1, max_size=4).map(tuple)
requests = st.builds(
    EmbeddingsRequest,
    model=names,
    inputs=st.lists(texts, min_size=1).map(tuple) | st.lists(token_lists, min_size=1).map(tuple),
    encoding_format=st.sampled_from(EncodingFormat),
    dimensions=st.none() | st.integers(1, 4096),
    extra_json=extras,
)
responses = st.builds(
    EmbeddingsResponse,
    served_model=names,
    vectors=st.lists(
        st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=4).map(tuple), min_size=1
    ).map(tuple),
    usage=st.builds(Usage, input_tokens=st.integers(0, 2**30)),
)


@given(requests)
@settings(deadline=None)
def test_a_request_survives_the_wire(request):
    written = write(request, request.model)

    origin = "openai_embeddings" if request.extra_json else ""
    assert read(written) == replace(request, extra_dialect=origin)


@given(responses, st.sampled_from(EncodingFormat))
@settings(deadline=None)
def test_an_answer_survives_the_wire_in_both_encodings(response, encoding_format):
    written = write_response.write(response, encoding_format=encoding_format)

    assert read_response.read(written) == response


@given(responses)
@settings(deadline=None)
def test_written_answers_are_legal_for_the_openai_sdk(response):
    written = write_response.write(response, encoding_format=EncodingFormat.FLOAT)

    parsed = CreateEmbeddingResponse.model_validate_json(written)

    assert len(parsed.data) == len(response.vectors)


@pytest.mark.parametrize(
    ("given_input", "expected"),
    [("a", ("a",)), (["a", "b"], ("a", "b")), ([1, 2], ((1, 2),)), ([[1], [2, 3]], ((1,), (2, 3)))],
)
def test_every_shape_of_input_is_read(given_input, expected):
    body = json.dumps({"model": "m", "input": given_input}).encode()

    assert read(body).inputs == expected
    assert read_head(body) == RequestHead("m", max_output_tokens=0)


@pytest.mark.parametrize("given_input", [None, 7, {}, [], ["a", 1], [["a"]], [None]])
def test_other_input_is_refused_by_name(given_input):
    body = json.dumps({"model": "m", "input": given_input}).encode()

    with pytest.raises(InvalidRequestError) as caught:
        read(body)

    assert caught.value.field.startswith("input")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"input":"a"}', "model"),
        (b'{"model":"","input":"a"}', "model"),
        (b'{"model":"m"}', "input"),
        (b'{"model":"m","input":7}', "input"),
        (b'{"model":"m","input":"\xff"}', None),
        (b"[]", None),
    ],
)
def test_a_head_that_is_wrong_is_refused_by_name(body, field):
    with pytest.raises(InvalidRequestError) as caught:
        read_head(body)

    assert caught.value.field == field


def test_a_body_is_sent_to_another_model():
    body = b'{"input": ["model"], "model":"m","encoding_format":"base64"}'

    written = retarget(body, "n", read_head(body))

    assert written == b'{"input":["model"],"model":"n","encoding_format":"base64"}'


def test_an_answer_passes_untouched_and_its_usage_is_seen():
    vector = array("f", [0.5]).tobytes()
    body = write_response.write(
        EmbeddingsResponse(
            served_model="m",
            vectors=(tuple(array("f", vector)),),
            usage=Usage(input_tokens=3),
        ),
        encoding_format=EncodingFormat.BASE64,
    )

    answer = translator("openai_embeddings", "openai_embeddings").answer(body, created=1)

    assert answer.body is body
    assert answer.glance == AnswerGlance("m", Usage(input_tokens=3), FinishReason.UNSPECIFIED)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"error":{}}',
        b'{"data":[]}',
        b'{"data":[{}]}',
        b'{"data":{}}',
        b'{"data":' + b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("job", [glance, read_response.read])
def test_what_holds_no_embeddings_is_malformed(job, body):
    with pytest.raises(MalformedAnswerError):
        job(body)


@pytest.mark.parametrize(
    "data",
    [
        [{"index": 1, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": "?"}],
        [{"index": 0, "embedding": "QUI="}],
        [{"index": 0, "embedding": ["a"]}],
    ],
)
def test_vectors_that_make_no_sense_are_malformed(data):
    with pytest.raises(MalformedAnswerError):
        read_response.read(msgspec.json.encode({"data": data}))
