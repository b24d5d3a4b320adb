"""A server with the public services of `routing`, whose answers each test writes."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.api import httpbody_pb2
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from meshgate.edge.rendering import Address
from meshgate.v1 import auth_service_pb2_grpc as auth_rpc
from meshgate.v1 import gateway_service_pb2 as gateway_pb
from meshgate.v1 import gateway_service_pb2_grpc as gateway_rpc
from meshgate.v1 import key_service_pb2_grpc as key_rpc
from meshgate.v1 import openai_service_pb2_grpc as openai_rpc
from meshgate.v1 import status_service_pb2_grpc as status_rpc

MIB = 1024 * 1024
OPTIONS = [
    ("grpc.max_receive_message_length", 80 * MIB),
    ("grpc.max_send_message_length", 80 * MIB),
    ("grpc.max_metadata_size", 96 * 1024),
    ("grpc.absolute_max_metadata_size", 128 * 1024),
    ("grpc.so_reuseport", 0),
]
SERVICES = ("meshgate.v1.GatewayService", reflection.SERVICE_NAME)

Context = grpc.aio.ServicerContext
Handler = Callable[[Any, Context], Any]


@dataclass
class Script:
    """What the RPCs do, by name, and what they were called with."""

    handlers: dict[str, Handler] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    metadata: list[Mapping[str, str | bytes]] = field(default_factory=list)

    def on(self, rpc: str, handler: Handler) -> None:
        """Unary RPCs take a coroutine function, streaming ones an async generator function."""
        self.handlers[rpc] = handler

    def clear(self) -> None:
        self.handlers.clear()
        self.calls.clear()
        self.metadata.clear()

    def play(self, rpc: str, request: Any, context: Context) -> Any:
        self.calls.append(rpc)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        return self.handlers[rpc](request, context)


class ScriptedOpenAi(openai_rpc.OpenAiServiceServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    async def ChatCompletions(self, request, context):
        async for message in self._script.play("ChatCompletions", request, context):
            yield message

    async def Completions(self, request, context):
        async for message in self._script.play("Completions", request, context):
            yield message

    async def Embeddings(self, request, context):
        async for message in self._script.play("Embeddings", request, context):
            yield message

    async def ListModels(self, request, context):
        return await self._script.play("ListModels", request, context)

    async def GetModel(self, request, context):
        return await self._script.play("GetModel", request, context)


class ScriptedGateway(gateway_rpc.GatewayServiceServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    async def Chat(self, request, context):
        return await self._script.play("Chat", request, context)

    async def StreamChat(self, request, context):
        async for message in self._script.play("StreamChat", request, context):
            yield message

    async def Converse(self, request, context):
        async for message in self._script.play("Converse", request, context):
            yield message

    async def Embed(self, request, context):
        return await self._script.play("Embed", request, context)

    async def ListModels(self, request, context):
        return await self._script.play("ListTypedModels", request, context)


class ScriptedStatus(status_rpc.StatusServiceServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    async def GetLiveness(self, request, context):
        return await self._script.play("GetLiveness", request, context)

    async def GetReadiness(self, request, context):
        return await self._script.play("GetReadiness", request, context)

    async def GetStatus(self, request, context):
        return await self._script.play("GetStatus", request, context)


class ScriptedKeys(key_rpc.KeyServiceServicer):
    """Of auth, which lies at the same addresses here."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def CreateKey(self, request, context):
        return await self._script.play("CreateKey", request, context)

    async def GetKey(self, request, context):
        return await self._script.play("GetKey", request, context)

    async def ListKeys(self, request, context):
        return await self._script.play("ListKeys", request, context)

    async def UpdateKey(self, request, context):
        return await self._script.play("UpdateKey", request, context)

    async def DeleteKey(self, request, context):
        return await self._script.play("DeleteKey", request, context)

    async def RevokeKey(self, request, context):
        return await self._script.play("RevokeKey", request, context)

    async def RotateKey(self, request, context):
        return await self._script.play("RotateKey", request, context)


class ScriptedAuth(auth_rpc.AuthServiceServicer):
    """Internal: here to prove that it cannot be reached."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def BatchAuthenticate(self, request, context):
        return await self._script.play("BatchAuthenticate", request, context)

    async def WatchPrincipals(self, request, context):
        async for message in self._script.play("WatchPrincipals", request, context):
            yield message


@dataclass(frozen=True)
class ScriptedRouting:
    script: Script
    addresses: Sequence[Address]


@asynccontextmanager
async def scripted_routing() -> AsyncIterator[ScriptedRouting]:
    """One server at two addresses, so that a balancer sees two instances."""
    script = Script()
    server = grpc.aio.server(options=OPTIONS)
    openai_rpc.add_OpenAiServiceServicer_to_server(ScriptedOpenAi(script), server)
    gateway_rpc.add_GatewayServiceServicer_to_server(ScriptedGateway(script), server)
    status_rpc.add_StatusServiceServicer_to_server(ScriptedStatus(script), server)
    key_rpc.add_KeyServiceServicer_to_server(ScriptedKeys(script), server)
    auth_rpc.add_AuthServiceServicer_to_server(ScriptedAuth(script), server)
    reflection.enable_server_reflection(SERVICES, server)
    fitness = health.aio.HealthServicer()
    await fitness.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(fitness, server)
    ports = [server.add_insecure_port("127.0.0.1:0") for _ in range(2)]
    await server.start()
    try:
        yield ScriptedRouting(script, [Address("127.0.0.1", port) for port in ports])
    finally:
        await server.stop(grace=None)


def body(content: bytes, content_type: str = "application/json") -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type=content_type, data=content)


async def fail(
    context: Context,
    code: grpc.StatusCode,
    message: str,
    *,
    http_status: int | None = None,
    error: Mapping[str, Any] | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> NoReturn:
    """Aborts as routing does: google.rpc.Status for gRPC, JSON and status for REST."""
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason="ERROR_REASON_TEST", domain="meshgate"))
    status = status_pb2.Status(code=code.value[0], message=message, details=[detail])
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", status.SerializeToString()),
        *headers,
    ]
    if http_status is not None:
        trailers.append(("x-meshgate-http-status", str(http_status)))
    if error is not None:
        trailers.append(("x-meshgate-error", json.dumps(error)))
    await context.abort(code, message, tuple(trailers))
    raise AssertionError("abort raises")


def chat_response(text: str) -> gateway_pb.ChatResponse:
    response = gateway_pb.ChatResponse(id="answer-1", served_model="demo")
    response.message.parts.add(text=text)
    return response
