"""Gemini's HTTP API.

What Google says in the URL is put where the rest of the gateway looks for it: the model into the body,
and whether to stream into the head. A stream is one JSON array unless it is asked for as events.
"""

import re
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Protocol

from google.api.httpbody_pb2 import HttpBody
from msgspec.structs import replace

from meshgate.dialects.answers import MalformedAnswerError, RequestHead
from meshgate.dialects.gemini_embeddings import passthrough as embeddings
from meshgate.dialects.gemini_embeddings import read_request as read_embeddings
from meshgate.dialects.gemini_generate import errors, model_list, read_request, token_count
from meshgate.dialects.gemini_generate.costed_stream import CostedStream
from meshgate.dialects.gemini_generate.json_array import ArrayWriter
from meshgate.dialects.gemini_generate.named_body import named
from meshgate.routing.arrival import Arrival
from meshgate.routing.edges.answering import JSON, Bodies, Endpoint, answer, bodies_of, reply_to
from meshgate.routing.pipeline import Pipeline
from meshgate.routing.reply import AnswerChunks, Reply
from meshgate.runtime.errors import CredentialMissingError, GatewayError, UpstreamFailedError
from meshgate.runtime.service import ErrorBody
from meshgate.v1 import gemini_service_pb2 as pb
from meshgate.v1 import gemini_service_pb2_grpc as rpc
from meshgate.v1 import provider_service_pb2 as provider_pb

SERVICE = pb.DESCRIPTOR.services_by_name["GeminiService"]

_EVENTS = "sse"
_KEY_IN_URL = re.compile(r"[?&]key=")


class _Request(Protocol):
    """What all requests have: a body, and the model in the path."""

    @property
    def model(self) -> str: ...

    @property
    def content(self) -> HttpBody: ...


def _read_streamed_head(body: bytes) -> RequestHead:
    return replace(read_request.read_head(body), stream=True)


_GENERATE = Endpoint(
    "GeminiService.GenerateContent",
    provider_pb.DIALECT_GEMINI_GENERATE,
    read_request.read_head,
    errors.write_error_event,
)
_STREAM = Endpoint(
    "GeminiService.StreamGenerateContent",
    provider_pb.DIALECT_GEMINI_GENERATE,
    _read_streamed_head,
    errors.write_error_event,
    CostedStream,
)
_COUNT_TOKENS = Endpoint(
    "GeminiService.CountTokens",
    provider_pb.DIALECT_GEMINI_TOKEN_COUNT,
    token_count.read_head,
    errors.write_error_event,
)
_EMBED_CONTENT = Endpoint(
    "GeminiService.EmbedContent",
    provider_pb.DIALECT_GEMINI_EMBEDDINGS,
    read_embeddings.read_head,
    errors.write_error_event,
)
_BATCH_EMBED_CONTENTS = Endpoint(
    "GeminiService.BatchEmbedContents",
    provider_pb.DIALECT_GEMINI_EMBEDDINGS,
    read_embeddings.read_head,
    errors.write_error_event,
)


def _answered(endpoint: Endpoint) -> Callable[..., Bodies]:
    """The method for an RPC that is answered as it is in the body's own dialect."""

    async def method(self: "GeminiServicer", request: _Request, context: Any) -> Bodies:
        body = await self.named(request, endpoint, context)
        async with aclosing(await answer(self.pipeline, endpoint, body, context)) as bodies:
            async for each in bodies:
                yield each

    return method


class GeminiServicer(rpc.GeminiServiceServicer):
    """GeminiService, by way of the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    GenerateContent = _answered(_GENERATE)
    CountTokens = _answered(_COUNT_TOKENS)
    BatchEmbedContents = _answered(_BATCH_EMBED_CONTENTS)

    async def StreamGenerateContent(
        self, request: pb.StreamGenerateContentRequest, context: Any
    ) -> Bodies:
        body = await self.named(request, _STREAM, context)
        reply = await reply_to(self.pipeline, _STREAM, body, context)
        endpoint = _STREAM
        if request.alt != _EVENTS and reply.chunks is not None:
            elements = ArrayChunks(reply.chunks)
            reply = replace(reply, chunks=elements)
            endpoint = _array_endpoint(elements.error_element)
        async with aclosing(bodies_of(reply, endpoint, context)) as bodies:
            async for each in bodies:
                yield each

    async def EmbedContent(self, request: pb.EmbedContentRequest, context: Any) -> Bodies:
        body = await self.named(request, _EMBED_CONTENT, context, embeddings.as_batch)
        reply = await reply_to(self.pipeline, _EMBED_CONTENT, body, context)
        async with aclosing(bodies_of(_single(reply), _EMBED_CONTENT, context)) as bodies:
            async for each in bodies:
                yield each

    async def ListModels(self, request: Any, context: Any) -> HttpBody:
        names = await self.pipeline.models(_arrival(context, "GeminiService.ListModels"))
        return HttpBody(content_type=JSON, data=model_list.write_models(names))

    async def GetModel(self, request: pb.GetGeminiModelRequest, context: Any) -> HttpBody:
        arrival = _arrival(context, "GeminiService.GetModel")
        name = request.name.removeprefix(read_request.PREFIX)
        name = await self.pipeline.model(arrival, name)
        return HttpBody(content_type=JSON, data=model_list.write_model(name))

    async def named(
        self,
        request: _Request,
        endpoint: Endpoint,
        context: Any,
        shaped: Callable[[bytes], bytes] = bytes,
    ) -> bytes:
        """The body with its model's name; it is not looked at before the caller is known."""
        await self.pipeline.authenticate(_arrival(context, endpoint.method))
        return named(shaped(request.content.data), request.model)


class ArrayChunks:
    """A stream as one JSON array.

    Args:
        chunks: The stream, as events.
    """

    def __init__(self, chunks: AnswerChunks) -> None:
        self._chunks = chunks
        self._array = ArrayWriter()
        self._is_over = False

    def __aiter__(self) -> "ArrayChunks":
        return self

    async def __anext__(self) -> bytes:
        while not self._is_over:
            try:
                written = self._array.write(await anext(self._chunks))
            except StopAsyncIteration:
                self._is_over = True
                return self._array.close()
            if written:
                return written
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give up what is still to come."""
        await self._chunks.aclose()

    def error_element(self, error: GatewayError) -> bytes:
        """The end of an array that broke off."""
        return self._array.write_error(error)


def _arrival(context: Any, method: str) -> Arrival:
    """A call as it comes in.

    Google takes keys in URLs as well. Here they are not taken: our own logs do not have queries, but
    those of the proxies on the way do, and so has what clients write of a URL that failed.

    Raises:
        CredentialMissingError: The key stands in the URL.
    """
    arrival = Arrival.from_context(context, method)
    if arrival.credential is None:
        metadata: dict[str, str] = dict(context.invocation_metadata())
        if _KEY_IN_URL.search(metadata.get("x-envoy-original-path", "")):
            raise CredentialMissingError(
                "a key in the URL is not taken, for URLs are written to logs: send it in the header"
                " `x-goog-api-key: KEY`"
            )
    return arrival


def error_body(error: GatewayError) -> ErrorBody:
    """An error as Google's clients expect it."""
    return ErrorBody(error.http_status, errors.write_error(error))


def _array_endpoint(error_element: Callable[[GatewayError], bytes]) -> Endpoint:
    return Endpoint(
        _STREAM.method,
        _STREAM.dialect,
        _STREAM.read_head,
        error_element,
        stream_media_type=JSON,
    )


def _single(reply: Reply) -> Reply:
    """The answer to a batch of one as that of embedContent.

    Raises:
        UpstreamFailedError: It has not just one embedding.
    """
    try:
        return replace(reply, body=embeddings.as_single(reply.body))
    except MalformedAnswerError as error:
        raise UpstreamFailedError("the upstream's answer has not just one embedding") from error
