"""OpenAI's HTTP API."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from google.api.httpbody_pb2 import HttpBody

from meshgate.dialects.openai_api import model_list
from meshgate.dialects.openai_chat import errors as chat_errors
from meshgate.dialects.openai_chat import read_request as read_chat
from meshgate.dialects.openai_completions import read_request as read_completion
from meshgate.dialects.openai_embeddings import read_request as read_embeddings
from meshgate.routing.arrival import Arrival
from meshgate.routing.pipeline import Pipeline, ReadHead
from meshgate.routing.reply import Reply
from meshgate.runtime.errors import GatewayError
from meshgate.runtime.service import ErrorBody
from meshgate.v1 import openai_service_pb2 as pb
from meshgate.v1 import openai_service_pb2_grpc as rpc
from meshgate.v1 import provider_service_pb2 as provider_pb

SERVICE = pb.DESCRIPTOR.services_by_name["OpenAiService"]

_JSON = "application/json"
_EVENTS = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """An RPC that is answered by a model."""

    method: str
    dialect: "provider_pb.Dialect.ValueType"
    read_head: ReadHead


_CHAT_COMPLETIONS = _Endpoint(
    "OpenAiService.ChatCompletions", provider_pb.DIALECT_OPENAI_CHAT, read_chat.read_head
)
_COMPLETIONS = _Endpoint(
    "OpenAiService.Completions", provider_pb.DIALECT_OPENAI_COMPLETIONS, read_completion.read_head
)
_EMBEDDINGS = _Endpoint(
    "OpenAiService.Embeddings", provider_pb.DIALECT_OPENAI_EMBEDDINGS, read_embeddings.read_head
)


class OpenAiServicer(rpc.OpenAiServiceServicer):
    """OpenAiService, by way of the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def ChatCompletions(self, request: HttpBody, context: Any) -> AsyncIterator[HttpBody]:
        async with aclosing(await self._answer(_CHAT_COMPLETIONS, request, context)) as bodies:
            async for body in bodies:
                yield body

    async def Completions(self, request: HttpBody, context: Any) -> AsyncIterator[HttpBody]:
        async with aclosing(await self._answer(_COMPLETIONS, request, context)) as bodies:
            async for body in bodies:
                yield body

    async def Embeddings(self, request: HttpBody, context: Any) -> AsyncIterator[HttpBody]:
        async with aclosing(await self._answer(_EMBEDDINGS, request, context)) as bodies:
            async for body in bodies:
                yield body

    async def ListModels(self, request: Any, context: Any) -> HttpBody:
        names = await self._pipeline.models(
            Arrival.from_context(context, "OpenAiService.ListModels")
        )
        return HttpBody(content_type=_JSON, data=model_list.write_models(names))

    async def GetModel(self, request: pb.GetOpenAiModelRequest, context: Any) -> HttpBody:
        arrival = Arrival.from_context(context, "OpenAiService.GetModel")
        name = await self._pipeline.model(arrival, request.id)
        return HttpBody(content_type=_JSON, data=model_list.write_model(name))

    async def _answer(
        self, endpoint: _Endpoint, request: HttpBody, context: Any
    ) -> AsyncGenerator[HttpBody, None]:
        """The model's answer as messages; one if it is plain."""
        arrival = Arrival.from_context(context, endpoint.method)
        reply = await self._pipeline.answer(
            arrival, endpoint.dialect, request.data, endpoint.read_head
        )
        return _bodies(reply, context)


def error_body(error: GatewayError) -> ErrorBody:
    """An error as OpenAI's clients expect it."""
    return ErrorBody(error.http_status, chat_errors.write_error(error))


async def _bodies(reply: Reply, context: Any) -> AsyncGenerator[HttpBody, None]:
    """A reply as messages; headers go out with the first: an error before it is bare."""
    if reply.chunks is None:
        await context.send_initial_metadata(reply.headers)
        yield HttpBody(content_type=_JSON, data=reply.body)
        return
    first = True
    async with aclosing(reply.chunks) as chunks:
        try:
            async for chunk in chunks:
                if first:
                    await context.send_initial_metadata(reply.headers)
                    first = False
                yield HttpBody(content_type=_EVENTS, data=chunk)
        except GatewayError as error:
            if not first:
                yield HttpBody(content_type=_EVENTS, data=chat_errors.write_error_event(error))
            raise
