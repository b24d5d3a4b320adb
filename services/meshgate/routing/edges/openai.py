"""OpenAI's HTTP API."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

from google.api.httpbody_pb2 import HttpBody

from meshgate.dialects.anthropic_messages import model_list as anthropic_models
from meshgate.dialects.gemini_generate import model_list as google_models
from meshgate.dialects.openai_api import model_list
from meshgate.dialects.openai_chat import chunks as chat_chunks
from meshgate.dialects.openai_chat import errors as chat_errors
from meshgate.dialects.openai_chat import read_request as read_chat
from meshgate.dialects.openai_choices.costed_stream import CostedStream
from meshgate.dialects.openai_completions import chunks as completion_chunks
from meshgate.dialects.openai_completions import read_request as read_completion
from meshgate.dialects.openai_embeddings import read_request as read_embeddings
from meshgate.dialects.openai_responses import errors as response_errors
from meshgate.dialects.openai_responses import read_request as read_response_request
from meshgate.dialects.openai_responses.costed_stream import CostedStream as CostedResponse
from meshgate.routing.arrival import Arrival
from meshgate.routing.edges.answering import JSON, Endpoint, answered
from meshgate.routing.pipeline import Pipeline
from meshgate.runtime.errors import GatewayError
from meshgate.runtime.service import ErrorBody
from meshgate.v1 import openai_service_pb2 as pb
from meshgate.v1 import openai_service_pb2_grpc as rpc
from meshgate.v1 import provider_service_pb2 as provider_pb

SERVICE = pb.DESCRIPTOR.services_by_name["OpenAiService"]

_CHAT_COMPLETIONS = Endpoint(
    "OpenAiService.ChatCompletions",
    provider_pb.DIALECT_OPENAI_CHAT,
    read_chat.read_head,
    chat_errors.write_error_event,
    partial(CostedStream, chat_chunks.FORM),
)
_COMPLETIONS = Endpoint(
    "OpenAiService.Completions",
    provider_pb.DIALECT_OPENAI_COMPLETIONS,
    read_completion.read_head,
    chat_errors.write_error_event,
    partial(CostedStream, completion_chunks.FORM),
)
_RESPONSES = Endpoint(
    "OpenAiService.Responses",
    provider_pb.DIALECT_OPENAI_RESPONSES,
    read_response_request.read_head,
    response_errors.write_error_event,
    CostedResponse,
    response_errors.write_error_event,
)
_EMBEDDINGS = Endpoint(
    "OpenAiService.Embeddings",
    provider_pb.DIALECT_OPENAI_EMBEDDINGS,
    read_embeddings.read_head,
    chat_errors.write_error_event,
)


class OpenAiServicer(rpc.OpenAiServiceServicer):
    """OpenAiService, by way of the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    ChatCompletions = answered(_CHAT_COMPLETIONS)
    Completions = answered(_COMPLETIONS)
    Responses = answered(_RESPONSES)
    Embeddings = answered(_EMBEDDINGS)

    async def ListModels(self, request: Any, context: Any) -> HttpBody:
        names = await self.pipeline.models(
            Arrival.from_context(context, "OpenAiService.ListModels")
        )
        return HttpBody(content_type=JSON, data=_lists(context).write_models(names))

    async def GetModel(self, request: pb.GetOpenAiModelRequest, context: Any) -> HttpBody:
        arrival = Arrival.from_context(context, "OpenAiService.GetModel")
        name = await self.pipeline.model(arrival, request.id)
        return HttpBody(content_type=JSON, data=_lists(context).write_model(name))


class _Lists(Protocol):
    """How one API tells of models."""

    def write_models(self, names: Iterable[str]) -> bytes: ...

    def write_model(self, name: str) -> bytes: ...


def _lists(context: Any) -> _Lists:
    """By what its SDK sends, the caller's API: those of Anthropic and Google list models at the same path."""
    names = {name for name, _ in context.invocation_metadata()}
    if "x-goog-api-key" in names:
        return google_models
    return anthropic_models if "anthropic-version" in names else model_list


def error_body(error: GatewayError) -> ErrorBody:
    """An error as OpenAI's clients expect it."""
    return ErrorBody(error.http_status, chat_errors.write_error(error))
