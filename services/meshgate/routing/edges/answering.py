"""What the HTTP APIs have in common: a body is asked, and the answer goes out as it comes."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from google.api.httpbody_pb2 import HttpBody
from msgspec.structs import replace

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.costing import CostedStream
from meshgate.routing.arrival import Arrival
from meshgate.routing.cost_header import cost_header
from meshgate.routing.edges.costed_answer import CostedChunks
from meshgate.routing.edges.torn import Torn
from meshgate.routing.peers.provider import Headers
from meshgate.routing.pipeline import Pipeline, ReadHead
from meshgate.routing.reply import Reply
from meshgate.routing.uploads.upload import Upload
from meshgate.runtime.errors import GatewayError
from meshgate.v1 import provider_service_pb2 as provider_pb

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
_EVENTS_TYPE = "text/event-stream"
_CONTENT_TYPE = "content-type"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An RPC that is answered by a model.

    Attributes:
        method: Its name, with that of its service.
        dialect: Of its bodies.
        read_head: Reads what routing needs of one.
        error_event: Writes the event that ends a stream which began well.
        costed: Begins to tell at the end of a stream what it has cost, where a dialect can.
        error_after: Writes that event where it depends on the last chunk, which it is given.
        stream_media_type: What a stream is written in.
    """

    method: str
    dialect: "provider_pb.Dialect.ValueType"
    read_head: ReadHead
    error_event: Callable[[GatewayError], bytes]
    costed: Callable[[], CostedStream] | None = None
    error_after: Callable[[GatewayError, bytes], bytes] | None = None
    stream_media_type: str = EVENTS


class Edge(Protocol):
    """A servicer whose RPCs models answer."""

    pipeline: Pipeline


Bodies = AsyncIterator[HttpBody | Torn]


def answered(endpoint: Endpoint) -> Callable[..., Bodies]:
    """The method of a servicer for an RPC whose request is the body that a model is asked with."""

    async def method(self: Edge, request: HttpBody, context: Any) -> Bodies:
        async with aclosing(await answer(self.pipeline, endpoint, request.data, context)) as bodies:
            async for body in bodies:
                yield body

    return method


async def answer(
    pipeline: Pipeline,
    endpoint: Endpoint,
    body: bytes,
    context: Any,
    upload: Upload | None = None,
) -> AsyncGenerator[HttpBody | Torn, None]:
    """The model's answer as messages; one if it is plain.

    Args:
        pipeline: Finds who answers.
        endpoint: What is called.
        body: What is asked.
        context: Of the call.
        upload: The files that the body announces, if it is a form.

    Raises:
        GatewayError: There is none.
    """
    reply = await reply_to(pipeline, endpoint, body, context, upload)
    return bodies_of(reply, endpoint, context)


async def reply_to(
    pipeline: Pipeline,
    endpoint: Endpoint,
    body: bytes,
    context: Any,
    upload: Upload | None = None,
) -> Reply:
    """The model's answer, which tells its cost at its end where the caller wants that.

    Raises:
        GatewayError: There is none.
    """
    arrival = Arrival.from_context(context, endpoint.method)
    read_head = _with_usage(endpoint.read_head) if arrival.wants_cost else endpoint.read_head
    reply = await pipeline.answer(arrival, endpoint.dialect, body, read_head, upload)
    if arrival.wants_cost and reply.chunks is not None and endpoint.costed is not None:
        reply = replace(reply, chunks=CostedChunks(reply.chunks, reply.bill, endpoint.costed()))
    return reply


def _with_usage(read_head: ReadHead) -> ReadHead:
    """The same for callers who want to be told the usage too, whatever their request says."""

    def read(body: bytes) -> RequestHead:
        head = read_head(body)
        return replace(head, include_usage=True) if head.stream else head

    return read


async def bodies_of(
    reply: Reply, endpoint: Endpoint, context: Any
) -> AsyncGenerator[HttpBody | Torn, None]:
    """A reply as messages; headers go out with the first: an error before it is bare."""
    media_type, headers = _media_type(reply, endpoint)
    if reply.chunks is None:
        cost = cost_header(await reply.bill.cost_nanos())
        await context.send_initial_metadata((*headers, *cost))
        yield HttpBody(content_type=media_type, data=reply.body)
        return
    last: bytes | None = None
    async with aclosing(reply.chunks) as chunks:
        try:
            async for chunk in chunks:
                if last is None:
                    await context.send_initial_metadata(headers)
                last = chunk
                yield HttpBody(content_type=media_type, data=chunk)
        except GatewayError as error:
            if last is not None:
                yield _broken_off(endpoint, media_type, error, last)
            raise


def _media_type(reply: Reply, endpoint: Endpoint) -> tuple[str, Headers]:
    """What an answer is written in, and the headers without that: the messages say it."""
    usual = JSON if reply.chunks is None else endpoint.stream_media_type
    told = next((value for name, value in reply.headers if name == _CONTENT_TYPE), "")
    others = tuple(header for header in reply.headers if header[0] != _CONTENT_TYPE)
    return told or usual, others


def _broken_off(
    endpoint: Endpoint, media_type: str, error: GatewayError, last: bytes
) -> HttpBody | Torn:
    """What ends a stream that will never be whole: an event, where it is made of such."""
    if media_type != endpoint.stream_media_type and not media_type.startswith(_EVENTS_TYPE):
        return Torn()
    event = endpoint.error_after(error, last) if endpoint.error_after else None
    return HttpBody(content_type=media_type, data=event or endpoint.error_event(error))
