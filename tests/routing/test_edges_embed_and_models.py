"""The typed API's embeddings and its list of models."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import msgspec
import pytest
from routing.fakes import FakeAuth, FakeProvider, answer, key_of, model, snapshot
from routing.gateway import BINDINGS, Gateway, credentials, ending_of, serving

from meshgate.dialects.neutral import EmbeddingsResponse, EncodingFormat, Usage
from meshgate.dialects.openai_embeddings import write_response
from meshgate.v1 import gateway_service_pb2 as pb
from meshgate.v1 import provider_service_pb2


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Gateway]:
    models = snapshot(*(model(name, "a") for name in ("b", "org/c", "a")))
    async with serving(request.param, models, auth, provider) as gateway:
        yield gateway


def vectors(*given: tuple[float, ...]) -> Any:
    response = EmbeddingsResponse(
        served_model="up", vectors=given, usage=Usage(input_tokens=len(given))
    )
    return answer(write_response.write(response, encoding_format=EncodingFormat.BASE64))


class TestEmbed:
    async def test_each_text_has_its_vector(self, gateway: Gateway, provider: FakeProvider) -> None:
        provider.at("a", vectors((0.5, -1.0), (0.25, 0.0)))
        request = pb.EmbedRequest(
            model="b", texts=["one", "two"], dimensions=2, extra_json=b'{"user":"u"}'
        )

        ending = await ending_of(gateway.typed.Embed(request, **credentials()))

        [found] = ending.messages
        assert [list(each.values) for each in found.embeddings] == [[0.5, -1.0], [0.25, 0.0]]
        assert (found.served_model, found.dimensions, found.usage.input_tokens) == ("up", 2, 2)
        assert ending.headers["x-meshgate-provider"] == "a"
        asked = provider.requests[0]
        assert asked.dialect == provider_service_pb2.DIALECT_OPENAI_EMBEDDINGS
        assert msgspec.json.decode(asked.body) == {
            "model": "b",
            "input": ["one", "two"],
            "encoding_format": "base64",
            "dimensions": 2,
            "user": "u",
        }

    async def test_an_upstream_that_knows_no_base64_is_understood(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        said = {"data": [{"index": 0, "embedding": [0.5]}], "model": "up"}
        provider.at("a", answer(msgspec.json.encode(said)))

        found = await gateway.typed.Embed(pb.EmbedRequest(model="b", texts=["x"]), **credentials())

        assert list(found.embeddings[0].values) == [0.5]
        assert not found.HasField("usage")

    @pytest.mark.parametrize(
        "said", [vectors((0.5,)), vectors((0.5,), (0.5, 1.0)), answer(b"<html>")]
    )
    async def test_vectors_that_do_not_fit_the_texts_are_the_upstreams_fault(
        self, gateway: Gateway, provider: FakeProvider, said: Any
    ) -> None:
        provider.at("a", said)

        ending = await ending_of(
            gateway.typed.Embed(pb.EmbedRequest(model="b", texts=["x", "y"]), **credentials())
        )

        assert ending.code is grpc.StatusCode.UNAVAILABLE
        assert not any(name.startswith("x-meshgate") for name in ending.headers)

    @pytest.mark.parametrize(
        "request_",
        [
            pb.EmbedRequest(texts=["x"]),
            pb.EmbedRequest(model="b"),
            pb.EmbedRequest(model="b", texts=["x"], dimensions=0),
            pb.EmbedRequest(model="b", texts=["x"], extra_json=b'{"model":"c"}'),
        ],
    )
    async def test_what_is_wrong_reaches_no_upstream(
        self, gateway: Gateway, provider: FakeProvider, request_: Any
    ) -> None:
        refused = await ending_of(gateway.typed.Embed(request_, **credentials()))
        stranger = await ending_of(gateway.typed.Embed(request_, **credentials("wrong")))

        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert stranger.code is grpc.StatusCode.UNAUTHENTICATED
        assert provider.requests == []


class TestListModels:
    async def test_models_come_page_by_page_in_order(self, gateway: Gateway) -> None:
        first = await gateway.typed.ListModels(pb.ListModelsRequest(page_size=2), **credentials())
        request = pb.ListModelsRequest(page_size=2, page_token=first.next_page_token)
        last = await gateway.typed.ListModels(request, **credentials())

        assert [each.name for each in first.models] == ["a", "b"]
        assert [each.name for each in last.models] == ["org/c"]
        assert last.next_page_token == ""

    async def test_only_those_that_the_caller_may_use(
        self, gateway: Gateway, auth: FakeAuth
    ) -> None:
        auth.found["small"] = key_of("small", ["org/*"])

        found = await gateway.typed.ListModels(pb.ListModelsRequest(), **credentials("small"))

        assert [each.name for each in found.models] == ["org/c"]

    async def test_a_token_that_was_not_given_out_is_refused(self, gateway: Gateway) -> None:
        request = pb.ListModelsRequest(page_token="?")

        ending = await ending_of(gateway.typed.ListModels(request, **credentials()))

        assert ending.code is grpc.StatusCode.INVALID_ARGUMENT
