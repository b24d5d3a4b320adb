"""OpenAI's HTTP API."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from msgspec.structs import replace

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.openai_api import model_list
from meshgate.dialects.openai_chat import chunks as chat_chunks
from meshgate.dialects.openai_chat import errors as chat_errors
from meshgate.dialects.openai_chat import read_request as read_chat
from meshgate.dialects.openai_choices.chunks import ChunkForm
from meshgate.dialects.openai_choices.costed_stream import CostedStream
from meshgate.dialects.openai_completions import chunks as completion_chunks
from meshgate.dialects.openai_completions import read_request as read_completion
from meshgate.dialects.openai_embeddings import read_request as read_embeddings
from meshgate.routing.arrival import Arrival
from meshgate.routing.cost_header import cost_header
from meshgate.routing.edges.costed_answer import CostedChunks
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
    form: ChunkForm | None = None


_CHAT_COMPLETIONS = _Endpoint(
    "OpenAiService.ChatCompletions",
    provider_pb.DIALECT_OPENAI_CHAT,
    read_chat.read_head,
    chat_chunks.FORM,
)
_COMPLETIONS = _Endpoint(
    "OpenAiService.Completions",
    provider_pb.DIALECT_OPENAI_COMPLETIONS,
    read_completion.read_head,
    completion_chunks.FORM,
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
        read_head = endpoint.read_head
        if arrival.wants_cost:
            read_head = _with_usage(read_head)
        reply = await self._pipeline.answer(arrival, endpoint.dialect, request.data, read_head)
        if arrival.wants_cost and reply.chunks is not None and endpoint.form is not None:
            chunks = CostedChunks(reply.chunks, reply.bill, CostedStream(endpoint.form))
            reply = replace(reply, chunks=chunks)
        return _bodies(reply, context)


def error_body(error: GatewayError) -> ErrorBody:
    """An error as OpenAI's clients expect it."""
    return ErrorBody(error.http_status, chat_errors.write_error(error))


def _with_usage(read_head: ReadHead) -> ReadHead:
    """The same for callers who want to be told the usage too, whatever their request says."""

    def read(body: bytes) -> RequestHead:
        head = read_head(body)
        return replace(head, include_usage=True) if head.stream else head

    return read


async def _bodies(reply: Reply, context: Any) -> AsyncGenerator[HttpBody, None]:
    """A reply as messages; headers go out with the first: an error before it is bare."""
    if reply.chunks is None:
        cost = cost_header(await reply.bill.cost_nanos())
        await context.send_initial_metadata((*reply.headers, *cost))
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
