"""What a request may be, what of it services see, and what is noted of it."""

import asyncio
import json

import grpc
import httpx
import pytest
from edge.scripted_routing import MIB, Script, body
from envoy_process import RunningEnvoy, edge_settings, running_envoy
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plain_http import TRUSTS_NOBODY

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT = "/v1/chat/completions"
ADDRESS = "x-envoy-external-address"


@pytest.fixture(autouse=True)
def models_are_listed(script: Script) -> None:
    async def answer(request, context):
        return body(b"{}")

    script.on("ListModels", answer)


async def said_raw(edge: RunningEnvoy, request: bytes) -> bytes:
    """What Envoy says to bytes that no HTTP library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.settings.listen.port)
    writer.write(request)
    try:
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            [length] = [
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ]
            return head + await reader.readexactly(length)
    finally:
        writer.close()


class TestSizes:
    async def test_a_body_of_20_mb_is_fine(self, rest, script):
        sizes = []

        async def answer(request, context):
            sizes.append(len(request.data))
            yield body(request.data)

        script.on("ChatCompletions", answer)

        answer = await rest.post(CHAT, content=b"x" * 20 * MIB)

        assert answer.status_code == 200
        assert (sizes, len(answer.content)) == ([20 * MIB], 20 * MIB)

    async def test_a_body_over_64_mib_is_413_in_openais_shape(self, rest, script):
        answer = await rest.post(CHAT, content=b"x" * (64 * MIB + 1))

        assert answer.status_code == 413
        assert answer.json() == {
            "error": {
                "message": "The request body is larger than 64 MiB.",
                "type": "invalid_request_error",
                "param": None,
                "code": "request_too_large",
            }
        }
        assert answer.headers["x-request-id"]
        assert script.calls == []

    async def test_a_typed_body_over_64_mib_is_413_as_a_status(self, rest):
        answer = await rest.post(
            "/meshgate/v1/chat", content=b'{"model": "' + b"x" * 64 * MIB + b'"}'
        )

        assert answer.status_code == 413
        assert answer.json()["code"] == 11

    async def test_headers_of_50_kb_are_fine(self, rest, script):
        answer = await rest.get("/v1/models", headers={"x-long": "x" * 50_000})

        assert answer.status_code == 200
        assert len(script.metadata[0]["x-long"]) == 50_000

    async def test_headers_over_60_kb_are_431(self, rest, script):
        answer = await rest.get("/v1/models", headers={"x-long": "x" * 70_000})

        assert answer.status_code == 431
        assert answer.json()["error"]["code"] == "headers_too_large"
        assert answer.headers["x-request-id"]
        assert script.calls == []

    async def test_more_than_100_headers_are_431(self, rest):
        headers = {f"x-header-{number}": "" for number in range(101)}

        answer = await rest.get("/v1/models", headers=headers)

        assert answer.status_code == 431
        assert answer.json()["error"]["code"] == "headers_too_large"


class TestMalformed:
    async def test_a_header_with_an_underscore_is_400(self, rest, script):
        answer = await rest.get("/v1/models", headers={"x_api_key": "1"})

        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "bad_request"
        assert answer.headers["x-request-id"]
        assert script.calls == []

    async def test_what_is_not_http_is_400_in_openais_shape(self, edge):
        said = await said_raw(edge, b"this is not HTTP\r\n\r\n")

        head, content = said.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"x-request-id: " in head
        assert json.loads(content)["error"]["code"] == "bad_request"

    async def test_an_http_1_0_request_is_refused_in_openais_shape(self, edge):
        said = await said_raw(edge, b"GET /v1/models HTTP/1.0\r\n\r\n")

        head, content = said.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 426 ")
        assert json.loads(content)["error"]["type"] == "invalid_request_error"


class TestRequestIds:
    async def test_a_clients_own_is_kept_bit_for_bit(self, rest, script):
        # A UUID in whose 15th digit Envoy would note how it decided about tracing.
        own = "11111111-2222-4333-8444-555555555555"

        answer = await rest.get("/v1/models", headers={"x-request-id": own})

        assert answer.headers["x-request-id"] == own
        assert script.metadata[0]["x-request-id"] == own

    async def test_one_is_made_where_there_is_none(self, rest, script):
        answer = await rest.get("/v1/models")

        assert len(answer.headers["x-request-id"]) == 36
        assert script.metadata[0]["x-request-id"] == answer.headers["x-request-id"]

    @pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/meshgate/v1/nothing"])
    async def test_local_replies_carry_them_too(self, rest, path):
        answer = await rest.get(path, headers={"x-request-id": "mine"})

        assert answer.headers.get_list("x-request-id") == ["mine"]


class TestTrust:
    async def test_services_see_the_address_of_the_connection(self, rest, script):
        await rest.get("/v1/models")

        assert script.metadata[0][ADDRESS] == "127.0.0.1"

    async def test_a_client_cannot_claim_another_address(self, rest, script):
        claims = {
            "x-forwarded-for": "203.0.113.9",
            "x-real-ip": "203.0.113.9",
            "x-envoy-external-address": "203.0.113.9",
        }

        await rest.get("/v1/models", headers=claims)

        assert script.metadata[0][ADDRESS] == "127.0.0.1"

    async def test_a_trusted_proxy_in_front_can(self, routing, script):
        settings = edge_settings(routing.addresses, trusted_proxy_hops=1)

        async with (
            running_envoy(settings) as edge,
            httpx.AsyncClient(base_url=edge.base_url, verify=TRUSTS_NOBODY) as client,
        ):
            await client.get("/v1/models", headers={"x-forwarded-for": "192.0.2.1, 203.0.113.9"})

        assert script.metadata[0][ADDRESS] == "203.0.113.9"

    async def test_internal_headers_of_clients_are_dropped(self, rest, script):
        internal = {"x-meshgate-internal-principal": "admin", "x-meshgate-mesh-token": "leaked"}

        await rest.get("/v1/models", headers=internal)

        assert not set(internal) & set(script.metadata[0])

    async def test_headers_that_steer_envoy_have_no_effect(self, rest, script):
        steering = {
            "x-envoy-max-retries": "9",
            "x-envoy-retry-on": "5xx",
            "x-envoy-upstream-rq-timeout-ms": "1",
            "x-envoy-original-path": "/v1/other",
            "x-envoy-internal": "true",
        }

        answer = await rest.get("/v1/models", headers=steering)

        seen = script.metadata[0]
        assert answer.status_code == 200
        assert seen["x-envoy-original-path"] == "/v1/models"
        assert not (set(steering) - {"x-envoy-original-path"}) & set(seen)

    async def test_credentials_reach_the_service(self, rest, script):
        credentials = {"authorization": "Bearer mg-1", "x-api-key": "mg-2"}

        await rest.get("/v1/models", headers=credentials | {"x-meshgate-timeout": "3s"})

        seen = script.metadata[0]
        assert (seen["authorization"], seen["x-api-key"]) == ("Bearer mg-1", "mg-2")
        assert seen["x-meshgate-timeout"] == "3s"


class TestAccessLog:
    async def test_a_line_says_what_happened_and_no_secret(self, rest, edge):
        await rest.get(
            "/v1/models?api_key=secret",
            headers={"x-request-id": "logged", "authorization": "Bearer secret"},
        )

        line = await edge.logged("logged")

        assert "secret" not in json.dumps(line)
        assert line["path"] == "/v1/models"
        assert (line["method"], line["protocol"]) == ("GET", "HTTP/1.1")
        assert (line["status"], line["grpc_status"], line["flags"]) == (200, "0", "-")
        assert (line["received_bytes"], line["sent_bytes"]) == (0, 2)
        assert line["client"] == "127.0.0.1"
        assert line["upstream"].startswith("127.0.0.1:")

    async def test_a_failure_is_noted_with_its_grpc_status(self, rest, edge, script):
        async def refuse(request, context):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")

        script.on("ListModels", refuse)

        await rest.get("/v1/models", headers={"x-request-id": "denied"})

        line = await edge.logged("denied")
        assert (line["status"], line["grpc_status"]) == (403, "7")

    async def test_a_native_call_is_noted_with_its_grpc_status(self, channel, edge):
        await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), metadata=[("x-request-id", "native")]
        )

        line = await edge.logged("native")
        assert (line["path"], line["protocol"]) == ("/grpc.health.v1.Health/Check", "HTTP/2")
        assert (line["status"], line["grpc_status"]) == (200, 0)

    async def test_a_refusal_is_noted_with_its_cause(self, rest, edge):
        await rest.get("/nothing", headers={"x-request-id": "refused"})

        line = await edge.logged("refused")

        assert (line["status"], line["details"]) == (404, "direct_response")
