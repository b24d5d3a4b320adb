"""Native gRPC passes untouched to the public services, and to no other."""

import asyncio

import grpc
import httpx
import pytest
from edge.scripted_routing import MIB, chat_response, fail
from google.api import httpbody_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from meshgate.v1 import auth_service_pb2 as auth_pb
from meshgate.v1 import auth_service_pb2_grpc as auth_rpc
from meshgate.v1 import gateway_service_pb2 as gateway_pb
from meshgate.v1 import gateway_service_pb2_grpc as gateway_rpc
from meshgate.v1 import openai_service_pb2_grpc as openai_rpc
from meshgate.v1 import provider_service_pb2 as provider_pb
from meshgate.v1 import provider_service_pb2_grpc as provider_rpc
from meshgate.v1 import status_service_pb2 as status_pb
from meshgate.v1 import status_service_pb2_grpc as status_rpc

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def status_of(call) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


async def test_a_unary_call_is_answered(channel, script):
    async def answer(request, context):
        return chat_response(f"you asked {request.model}")

    script.on("Chat", answer)

    response = await gateway_rpc.GatewayServiceStub(channel).Chat(
        gateway_pb.ChatRequest(model="demo")
    )

    assert response.message.parts[0].text == "you asked demo"


async def test_a_stream_is_answered_one_message_at_a_time(channel, script):
    first_was_read = asyncio.Event()

    async def answer(request, context):
        yield gateway_pb.StreamChatResponse()
        await first_was_read.wait()
        yield gateway_pb.StreamChatResponse()

    script.on("StreamChat", answer)
    call = gateway_rpc.GatewayServiceStub(channel).StreamChat(
        gateway_pb.StreamChatRequest(), timeout=10
    )

    await call.read()
    first_was_read.set()
    await call.read()

    assert await call.read() is grpc.aio.EOF


async def test_the_status_service_is_public(channel, script):
    async def answer(request, context):
        return status_pb.GetLivenessResponse(status="ok")

    script.on("GetLiveness", answer)

    response = await status_rpc.StatusServiceStub(channel).GetLiveness(
        status_pb.GetLivenessRequest()
    )

    assert response.status == "ok"


async def test_health_is_public(channel):
    response = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())

    assert response.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_is_public(channel):
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )

    response = await call.read()

    names = [service.name for service in response.list_services_response.service]
    assert "meshgate.v1.GatewayService" in names


async def test_internal_services_are_unimplemented(channel, script):
    code, details = await status_of(
        auth_rpc.AuthServiceStub(channel).BatchAuthenticate(auth_pb.BatchAuthenticateRequest())
    )

    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert details == ("Unknown request URL: POST /meshgate.v1.AuthService/BatchAuthenticate.")
    assert script.calls == []


async def test_streams_of_internal_services_are_unimplemented(channel, script):
    call = auth_rpc.AuthServiceStub(channel).WatchPrincipals(auth_pb.WatchPrincipalsRequest())

    code, _ = await status_of(call.read())

    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert script.calls == []


async def test_provider_is_unimplemented(channel):
    code, _ = await status_of(
        provider_rpc.ProviderServiceStub(channel).Execute(provider_pb.ExecuteRequest())
    )

    assert code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        # What the transcoder leaves in a request that it made.
        (("x-envoy-original-path", "/v1/chat/completions"), ("x-envoy-original-method", "POST")),
    ],
)
async def test_the_services_made_for_rest_are_unimplemented(channel, script, metadata):
    call = openai_rpc.OpenAiServiceStub(channel).ChatCompletions(
        httpbody_pb2.HttpBody(), metadata=metadata
    )

    code, details = await status_of(call.read())

    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert details == "Unknown request URL: POST /meshgate.v1.OpenAiService/ChatCompletions."
    assert script.calls == []


async def test_a_rest_path_is_unimplemented_for_native_grpc(channel, script):
    call = channel.unary_unary(
        "/v1/chat/completions", lambda request: request, lambda response: response
    )

    code, _ = await status_of(call(b""))

    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert script.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "/meshgate.v1.GatewayService/Chat",
        "/meshgate.v1.OpenAiService/ChatCompletions",
        "/meshgate.v1.AuthService/BatchAuthenticate",
        "/meshgate.v1.KeyService/ListKeys",
        "/v1/../meshgate.v1.OpenAiService/ChatCompletions",
        "/v1/..%2fmeshgate.v1.OpenAiService%2fChatCompletions",
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/grpc-web"])
async def test_an_http_post_to_the_path_of_an_rpc_is_refused(rest, script, path, content_type):
    request = httpx.Request(
        "POST", str(rest.base_url), headers={"content-type": content_type}, content=b"{}"
    )
    request.extensions["target"] = path.encode()

    answer = await rest.send(request)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_url"
    assert script.calls == []


async def test_the_clients_deadline_reaches_the_service(channel, script):
    remaining: list[float] = []

    async def answer(request, context):
        remaining.append(context.time_remaining())
        return chat_response("")

    script.on("Chat", answer)

    await gateway_rpc.GatewayServiceStub(channel).Chat(gateway_pb.ChatRequest(), timeout=50)

    assert 40 < remaining[0] < 60


async def test_large_messages_pass(channel, script):
    async def answer(request, context):
        return chat_response(request.messages[0].parts[0].text)

    script.on("Chat", answer)
    request = gateway_pb.ChatRequest()
    request.messages.add().parts.add(text="x" * 20 * MIB)

    response = await gateway_rpc.GatewayServiceStub(channel).Chat(request)

    assert len(response.message.parts[0].text) == 20 * MIB


async def test_trailing_metadata_of_a_failure_reaches_the_client(channel, script):
    async def refuse(request, context):
        await fail(
            context, grpc.StatusCode.RESOURCE_EXHAUSTED, "later", headers=[("retry-after", "3")]
        )
        yield

    script.on("StreamChat", refuse)
    call = gateway_rpc.GatewayServiceStub(channel).StreamChat(gateway_pb.StreamChatRequest())

    code, details = await status_of(call.read())

    assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "later")
    assert dict(await call.trailing_metadata())["retry-after"] == "3"


async def test_a_native_client_cannot_claim_another_address(channel, script):
    async def answer(request, context):
        return chat_response("")

    script.on("Chat", answer)

    await gateway_rpc.GatewayServiceStub(channel).Chat(
        gateway_pb.ChatRequest(),
        metadata=[("x-forwarded-for", "203.0.113.9"), ("x-envoy-external-address", "203.0.113.9")],
    )

    assert script.metadata[0]["x-envoy-external-address"] == "127.0.0.1"
