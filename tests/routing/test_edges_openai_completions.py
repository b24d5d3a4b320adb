"""OpenAI's older API without messages, as Envoy meets it."""

from collections.abc import AsyncIterator

import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fakes import (
    FakeAuth,
    FakeProvider,
    answer,
    broken,
    chunk,
    done,
    head,
)
from routing.gateway import BINDINGS, Gateway, credentials, ending_of, serving
from routing.openai_edge import MODELS, told

from meshgate.dialects.neutral import Finished, FinishReason, Started, TextDelta
from meshgate.dialects.openai_completions import grammar as completion_grammar
from meshgate.dialects.openai_completions.write_response import StreamWriter as CompletionWriter
from meshgate.v1 import provider_service_pb2


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Gateway]:
    async with serving(request.param, MODELS, auth, provider) as gateway:
        yield gateway


class TestCompletions:
    async def test_a_prompt_is_completed(self, gateway: Gateway, provider: FakeProvider) -> None:
        provider.at("a", answer(b'{"future": 1 }'))
        asked = HttpBody(data=b'{"model": "m", "prompt": "Once"}')

        ending = await ending_of(gateway.openai.Completions(asked, **credentials()))

        assert [message.data for message in ending.messages] == [b'{"future": 1 }']
        assert ending.headers["x-meshgate-model"] == "m"
        request = provider.requests[0]
        assert request.dialect == provider_service_pb2.DIALECT_OPENAI_COMPLETIONS
        assert request.body == asked.data

    async def test_a_stream_comes_burst_by_burst(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        writer = CompletionWriter(created=1, include_usage=False)
        said = [Started(id="c-1", served_model="up"), TextDelta("Hel"), TextDelta("lo")]
        end = Finished(reason=FinishReason.STOP, usage=None)
        provider.at(
            "a", [head(), *(chunk(writer.write([event])) for event in (*said, end)), done()]
        )
        asked = HttpBody(data=b'{"model": "m", "prompt": "Once", "stream": true}')

        ending = await ending_of(gateway.openai.Completions(asked, **credentials()))

        assert len(ending.messages) == 4
        completion_grammar.check(b"".join(message.data for message in ending.messages))

    async def test_a_stream_that_breaks_ends_with_an_error(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        writer = CompletionWriter(created=1, include_usage=False)
        begun = writer.write([Started(id="c-1", served_model="up"), TextDelta("Hel")])
        provider.at("a", [head(), chunk(begun), broken("connection")])
        asked = HttpBody(data=b'{"model": "m", "prompt": "Once", "stream": true}')

        ending = await ending_of(gateway.openai.Completions(asked, **credentials()))

        assert b'"error"' in ending.messages[-1].data
        completion_grammar.check(b"".join(message.data for message in ending.messages))

    async def test_a_prompt_that_is_none_is_refused_by_name(self, gateway: Gateway) -> None:
        asked = HttpBody(data=b'{"model": "m", "prompt": 7}')

        ending = await ending_of(gateway.openai.Completions(asked, **credentials()))

        status, error = told(ending)
        assert (status, error["param"]) == (400, "prompt")
