"""Errors reach each caller in the dialect of the API that it called."""

import json

import grpc
import httpx
import pytest
from edge.scripted_routing import Script, body, fail
from envoy_process import RunningEnvoy
from plain_http import TRUSTS_NOBODY

from meshgate.v1 import gateway_service_pb2 as gateway_pb
from meshgate.v1 import gateway_service_pb2_grpc as gateway_rpc

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT = "/v1/chat/completions"
OPENAI_ERROR = {
    "error": {
        "message": 'Überlastet, said the "model"',
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
}
GRPC_HEADERS = ("grpc-", "x-meshgate-error", "x-meshgate-http-status")


def leaked(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith(GRPC_HEADERS)]


async def test_a_failed_stream_gives_the_services_json_status_and_retry_after(rest, script):
    async def refuse(request, context):
        headers = [("retry-after", "7"), ("x-ratelimit-remaining-requests", "0")]
        await fail(
            context,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "overloaded",
            http_status=529,
            error=OPENAI_ERROR,
            headers=headers,
        )
        yield

    script.on("ChatCompletions", refuse)

    answer = await rest.post(CHAT, json={})

    assert answer.status_code == 529
    assert answer.json() == OPENAI_ERROR
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert leaked(answer) == []


async def test_a_failed_unary_call_gives_the_services_json_and_status(rest, script):
    async def refuse(request, context):
        await fail(
            context, grpc.StatusCode.NOT_FOUND, "no model", http_status=404, error=OPENAI_ERROR
        )

    script.on("GetModel", refuse)

    answer = await rest.get("/v1/models/nobody")

    assert (answer.status_code, answer.json()) == (404, OPENAI_ERROR)
    assert leaked(answer) == []


@pytest.mark.parametrize(
    ("code", "status", "error_type"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400, "invalid_request_error"),
        (grpc.StatusCode.UNAUTHENTICATED, 401, "authentication_error"),
        (grpc.StatusCode.PERMISSION_DENIED, 403, "permission_error"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429, "rate_limit_error"),
        (grpc.StatusCode.UNAVAILABLE, 503, "server_error"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "server_error"),
    ],
)
async def test_a_status_without_json_is_put_into_openais_shape(
    rest, script, code, status, error_type
):
    async def refuse(request, context):
        await context.abort(code, 'not "so", ünder 100%')
        yield

    script.on("ChatCompletions", refuse)

    answer = await rest.post(CHAT, json={})

    assert answer.status_code == status
    assert answer.json() == {
        "error": {
            "message": 'not "so", ünder 100%',
            "type": error_type,
            "param": None,
            "code": None,
        }
    }
    assert ("retry-after" in answer.headers) == (status in {429, 503})


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
async def test_an_internal_error_says_nothing_of_its_text(rest, script, code):
    async def break_down(request, context):
        await context.abort(code, "secret: password=123")
        yield

    script.on("ChatCompletions", break_down)

    answer = await rest.post(CHAT, json={})

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["error"]["type"] == "server_error"


async def test_metadata_of_a_good_answer_cannot_change_its_status(rest, script):
    async def answer_well(request, context):
        context.set_trailing_metadata((("x-meshgate-http-status", "500"),))
        return body(b"{}")

    script.on("ListModels", answer_well)

    answer = await rest.get("/v1/models")

    assert (answer.status_code, answer.content) == (200, b"{}")
    assert leaked(answer) == []


@pytest.mark.parametrize("message", ["x" * 16_000, "ü" * 2_700])
async def test_an_error_of_16_kb_arrives(rest, script, message):
    error = {"error": {"message": message}}

    async def refuse(request, context):
        await fail(context, grpc.StatusCode.INVALID_ARGUMENT, message, http_status=422, error=error)
        yield

    script.on("ChatCompletions", refuse)

    answer = await rest.post(CHAT, json={})

    assert (answer.status_code, answer.json()) == (422, error)


async def test_typed_rest_gives_the_status_with_its_details(rest, script):
    async def refuse(request, context):
        await fail(context, grpc.StatusCode.INVALID_ARGUMENT, "no model", error=OPENAI_ERROR)

    script.on("Chat", refuse)

    answer = await rest.post("/meshgate/v1/chat", json={})

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "code": 3,
        "message": "no model",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "ERROR_REASON_TEST",
                "domain": "meshgate",
                "metadata": {},
            }
        ],
    }
    assert leaked(answer) == []


async def test_typed_rest_says_when_to_come_back(rest, script):
    async def refuse(request, context):
        await fail(context, grpc.StatusCode.UNAVAILABLE, "auth does not answer")

    script.on("GetReadiness", refuse)

    answer = await rest.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["message"] == "auth does not answer"
    assert answer.headers["retry-after"] == "1"


async def test_native_grpc_gets_the_genuine_status_and_details(channel, script):
    async def refuse(request, context):
        await fail(context, grpc.StatusCode.NOT_FOUND, "no model", error=OPENAI_ERROR)

    script.on("Chat", refuse)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway_rpc.GatewayServiceStub(channel).Chat(gateway_pb.ChatRequest())

    trailers = dict(caught.value.trailing_metadata())
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "no model"
    assert b"ERROR_REASON_TEST" in trailers["grpc-status-details-bin"]
    assert json.loads(trailers["x-meshgate-error"]) == OPENAI_ERROR


@pytest.mark.parametrize("path", ["/", "/v1/nothing", "/v2/chat", "/metrics"])
async def test_an_unknown_url_is_404_in_openais_shape(rest, path):
    answer = await rest.get(path, params={"api_key": "secret"})

    assert answer.status_code == 404
    assert answer.json() == {
        "error": {
            "message": f"Unknown request URL: GET {path}.",
            "type": "invalid_request_error",
            "param": None,
            "code": "unknown_url",
        }
    }


@pytest.mark.parametrize("path", ["/meshgate/v1/nothing", "/admin/v1/nothing"])
async def test_an_unknown_typed_url_is_404_as_a_status(rest, path):
    answer = await rest.get(path)

    assert answer.status_code == 404
    assert answer.json() == {
        "code": 5,
        "message": f"Unknown request URL: GET {path}.",
        "details": [],
    }


async def test_the_wrong_method_names_method_and_url(rest):
    answer = await rest.get(CHAT)

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == f"Unknown request URL: GET {CHAT}."


async def test_unreadable_json_is_400_in_the_typed_dialect(rest, script):
    answer = await rest.post("/meshgate/v1/chat", content=b'{"model": ')

    assert answer.status_code == 400
    assert answer.json()["code"] == 3
    assert answer.json()["message"].startswith("The request cannot be read: ")
    assert script.calls == []


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
async def test_with_no_service_openai_clients_get_503_in_their_shape(deserted_edge, path):
    async with httpx.AsyncClient(base_url=deserted_edge.base_url, verify=TRUSTS_NOBODY) as client:
        answer = await client.post(path, json={})

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "service_unavailable"
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/meshgate/v1/status", "/readyz", "/healthz"])
async def test_with_no_service_typed_clients_get_503_as_a_status(deserted_edge, path):
    async with httpx.AsyncClient(base_url=deserted_edge.base_url, verify=TRUSTS_NOBODY) as client:
        answer = await client.get(path)

    assert answer.status_code == 503
    assert answer.json()["code"] == 14
    assert answer.headers["retry-after"] == "1"


async def test_with_no_service_native_clients_get_a_plain_message(deserted_edge: RunningEnvoy):
    async with grpc.aio.insecure_channel(deserted_edge.grpc_target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await gateway_rpc.GatewayServiceStub(channel).Chat(gateway_pb.ChatRequest())

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "The gateway is not available at the moment; retry later."


async def test_headers_sent_before_a_failure_keep_its_status(rest, script: Script):
    async def refuse(request, context):
        await context.send_initial_metadata((("x-meshgate-model", "demo"),))
        await fail(
            context,
            grpc.StatusCode.PERMISSION_DENIED,
            "no",
            http_status=403,
            error=OPENAI_ERROR,
        )

    script.on("ListModels", refuse)

    answer = await rest.get("/v1/models")

    assert answer.status_code == 403
