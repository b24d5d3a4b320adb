"""What OpenAI's clients are told that get no answer."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fakes import (
    FakeAuth,
    FakeProvider,
    broken,
    failing,
    key_of,
    model,
    snapshot,
)
from routing.gateway import BINDINGS, Gateway, credentials, ending_of, serving
from routing.openai_edge import MODELS, body, told

from meshgate.config.snapshot import Retries
from meshgate.runtime.errors import InvalidRequestError

SECRETS = "sk-upstream"


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Gateway]:
    async with serving(request.param, MODELS, auth, provider) as gateway:
        yield gateway


class TestErrors:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("failed", "status", "kind_of_error"),
        [
            ({"kind": "rate_limited", "retry_after": 60}, 429, "rate_limit_error"),
            ({"kind": "overloaded"}, 503, "server_error"),
            ({"kind": "timeout"}, 504, "server_error"),
            ({"kind": "server_error"}, 502, "server_error"),
            ({"kind": "invalid_request", "upstream_status": 422}, 422, "invalid_request_error"),
        ],
    )
    async def test_an_error_before_the_first_byte_has_status_and_json_and_nothing_else(
        self,
        gateway: Gateway,
        provider: FakeProvider,
        stream: bool,
        failed: dict[str, Any],
        status: int,
        kind_of_error: str,
    ) -> None:
        provider.at("a", [broken(**failed)] if stream else failing(**failed))
        gateway.snapshot = snapshot(model("m", "a", retries=Retries(attempts=1)))

        ending = await ending_of(
            gateway.openai.ChatCompletions(body(stream=stream), **credentials())
        )

        assert ending.messages == []
        assert not any(name.startswith("x-meshgate") for name in ending.headers)
        http_status, error = told(ending)
        assert http_status == status
        assert error["type"] == kind_of_error
        assert error["message"] == f"it met {failed['kind']}"
        assert "grpc-status-details-bin" in ending.trailers
        assert ("retry-after" in ending.trailers) == (status in {429, 503})

    async def test_a_bad_key_is_told_before_the_body_is_read(self, gateway: Gateway) -> None:
        malformed = HttpBody(data=b"{not json")

        ending = await ending_of(gateway.openai.ChatCompletions(malformed, **credentials("wrong")))

        assert told(ending)[0] == 401
        assert told(ending)[1]["code"] == "invalid_api_key"

    async def test_no_key_is_told(self, gateway: Gateway) -> None:
        ending = await ending_of(gateway.openai.ChatCompletions(body(), timeout=20))

        assert told(ending)[0] == 401
        assert ending.code is grpc.StatusCode.UNAUTHENTICATED

    @pytest.mark.parametrize(
        ("data", "part"),
        [
            (b"{not json", "JSON"),
            (b"", "JSON"),
            (b'{"messages": [{}]}', "model"),
            (b'{"model": 7, "messages": [{}]}', "model"),
            (b'{"model": "m\xff", "messages": [{}]}', "UTF-8"),
            (b'{"model": "m", "messages": [{"a": ' + b"[" * 100_000, "nested"),
        ],
    )
    async def test_a_malformed_body_is_told_of_and_goes_nowhere(
        self, gateway: Gateway, provider: FakeProvider, data: bytes, part: str
    ) -> None:
        ending = await ending_of(
            gateway.openai.ChatCompletions(HttpBody(data=data), **credentials())
        )

        http_status, error = told(ending)
        assert http_status == 400
        assert part in error["message"]
        assert provider.requests == []

    async def test_an_unknown_model_is_not_found(self, gateway: Gateway) -> None:
        ending = await ending_of(gateway.openai.ChatCompletions(body("x"), **credentials()))

        assert told(ending)[0] == 404
        assert told(ending)[1]["code"] == "model_not_found"

    async def test_a_model_that_is_not_allowed_is_forbidden(
        self, gateway: Gateway, auth: FakeAuth
    ) -> None:
        auth.found["small"] = key_of("small", ["n"])

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials("small")))

        assert told(ending)[0] == 403
        assert told(ending)[1]["code"] == "model_not_allowed"

    async def test_a_timeout_that_cannot_be_read_is_told_of(self, gateway: Gateway) -> None:
        ending = await ending_of(
            gateway.openai.ChatCompletions(body(), **credentials(x_meshgate_timeout="soon"))
        )

        assert told(ending)[0] == 400
        assert "x-meshgate-timeout" in told(ending)[1]["message"]

    async def test_what_the_provider_service_finds_wrong_is_told_as_it_is(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", InvalidRequestError("no such thing", field="tools[0]"))

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert told(ending)[0] == 400
        assert told(ending)[1]["param"] == "tools[0]"
        assert provider.tried == ["a"]

    async def test_an_unexpected_exception_says_nothing_of_itself(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", RuntimeError(SECRETS))

        ending = await ending_of(gateway.openai.ChatCompletions(body(), **credentials()))

        assert told(ending)[0] == 500
        assert SECRETS not in repr(ending)
