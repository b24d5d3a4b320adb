"""OpenAI's responses, as Envoy meets them."""

from collections.abc import AsyncIterator

import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fakes import FakeAuth, FakeProvider, answer, broken, chunk, done, head
from routing.gateway import BINDINGS, Gateway, credentials, ending_of, serving
from routing.openai_edge import MODELS, told

from meshgate.dialects.neutral import Finished, FinishReason, Started, TextDelta
from meshgate.dialects.openai_responses import grammar
from meshgate.dialects.openai_responses.write_response import StreamWriter
from meshgate.v1 import provider_service_pb2

BEGUN = [Started(id="r-1", served_model="up"), TextDelta("Hel"), TextDelta("lo")]
STREAMED = HttpBody(data=b'{"model": "m", "input": "Once", "stream": true}')


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Gateway]:
    async with serving(request.param, MODELS, auth, provider) as gateway:
        yield gateway


async def test_an_answer_passes_as_it_is(gateway: Gateway, provider: FakeProvider) -> None:
    provider.at("a", answer(b'{"future": 1 }'))
    asked = HttpBody(data=b'{"model": "m", "input": "Once"}')

    ending = await ending_of(gateway.openai.Responses(asked, **credentials()))

    assert [message.data for message in ending.messages] == [b'{"future": 1 }']
    request = provider.requests[0]
    assert request.dialect == provider_service_pb2.DIALECT_OPENAI_RESPONSES
    assert request.body == asked.data


async def test_a_stream_comes_burst_by_burst(gateway: Gateway, provider: FakeProvider) -> None:
    writer = StreamWriter(created=1, include_usage=True)
    events = [*BEGUN, Finished(reason=FinishReason.STOP)]
    provider.at("a", [head(), *(chunk(writer.write([event])) for event in events), done()])

    ending = await ending_of(gateway.openai.Responses(STREAMED, **credentials()))

    assert len(ending.messages) == 4
    grammar.check(b"".join(message.data for message in ending.messages))


async def test_a_stream_that_breaks_ends_with_an_error_that_is_numbered(
    gateway: Gateway, provider: FakeProvider
) -> None:
    begun = StreamWriter(created=1, include_usage=True).write(BEGUN)
    provider.at("a", [head(), chunk(begun), broken("connection")])

    ending = await ending_of(gateway.openai.Responses(STREAMED, **credentials()))

    assert ending.messages[-1].data.startswith(b"event: error\n")
    grammar.check(b"".join(message.data for message in ending.messages))


async def test_what_needs_stored_responses_is_refused_by_name(gateway: Gateway) -> None:
    asked = HttpBody(data=b'{"model": "m", "input": "x", "previous_response_id": "resp_1"}')

    ending = await ending_of(gateway.openai.Responses(asked, **credentials()))

    status, error = told(ending)
    assert (status, error["param"]) == (400, "previous_response_id")
