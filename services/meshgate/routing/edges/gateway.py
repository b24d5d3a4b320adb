"""The typed public API."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.meshgate_chat.read_request import head_of
from meshgate.dialects.openai_embeddings import read_request as read_embeddings
from meshgate.routing import model_pages
from meshgate.routing.arrival import Arrival
from meshgate.routing.cost_header import cost_header
from meshgate.routing.edges import embedding
from meshgate.routing.edges.conversations import Conversations
from meshgate.routing.edges.costed_answer import chunks_of, events_of
from meshgate.routing.pipeline import Pipeline
from meshgate.routing.reply import Reply
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import gateway_service_pb2 as pb
from meshgate.v1 import gateway_service_pb2_grpc as rpc
from meshgate.v1 import provider_service_pb2 as provider_pb

SERVICE = pb.DESCRIPTOR.services_by_name["GatewayService"]


class GatewayServicer(rpc.GatewayServiceServicer):
    """GatewayService, by way of the pipeline."""

    def __init__(self, pipeline: Pipeline, conversations: Conversations) -> None:
        self._pipeline = pipeline
        self._conversations = conversations

    async def Chat(self, request: pb.ChatRequest, context: Any) -> pb.ChatResponse:
        arrival = Arrival.from_context(context, "GatewayService.Chat")
        reply = await self._answer(arrival, request, stream=False)
        response = pb.ChatResponse.FromString(reply.body)  # first: an error carries no headers
        await _tell_cost(response, reply, context)
        return response

    async def StreamChat(
        self, request: pb.StreamChatRequest, context: Any
    ) -> AsyncIterator[pb.StreamChatResponse]:
        arrival = Arrival.from_context(context, "GatewayService.StreamChat")
        reply = await self._answer(arrival, request.chat, stream=True)
        headers = reply.headers
        async with aclosing(chunks_of(reply)), aclosing(events_of(reply)) as events:
            async for event in events:
                if headers:
                    await context.send_initial_metadata(headers)
                    headers = ()
                yield pb.StreamChatResponse(event=event)

    async def Converse(
        self, request_iterator: AsyncIterator[pb.ConverseRequest], context: Any
    ) -> AsyncIterator[pb.ConverseResponse]:
        async with aclosing(self._conversations.hold(request_iterator, context)) as responses:
            async for response in responses:
                yield response

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> pb.EmbedResponse:
        arrival = Arrival.from_context(context, "GatewayService.Embed")
        await self._pipeline.authenticate(arrival)  # before the request is looked at
        reply = await self._pipeline.answer(
            arrival,
            provider_pb.DIALECT_OPENAI_EMBEDDINGS,
            embedding.written_request(request),
            read_embeddings.read_head,
        )
        response = embedding.read_answer(reply.body, len(request.texts))
        await _tell_cost(response, reply, context)
        return response

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Any
    ) -> pb.ListModelsResponse:
        arrival = Arrival.from_context(context, "GatewayService.ListModels")
        names = await self._pipeline.models(arrival)
        page = model_pages.page(names, request.page_size, request.page_token)
        return pb.ListModelsResponse(
            models=[pb.Model(name=name) for name in page.names], next_page_token=page.next_token
        )

    async def _answer(self, arrival: Arrival, request: pb.ChatRequest, *, stream: bool) -> Reply:
        def read_head(_body: bytes) -> RequestHead:
            _check(request)
            return head_of(request, stream=stream)

        return await self._pipeline.answer(
            arrival, provider_pb.DIALECT_MESHGATE_CHAT, request.SerializeToString(), read_head
        )


async def _tell_cost(
    response: pb.ChatResponse | pb.EmbedResponse, reply: Reply, context: Any
) -> None:
    """Write the cost of a plain answer into it and into its headers, which go out first."""
    cost_nanos = await reply.bill.cost_nanos()
    if cost_nanos is not None:
        response.cost_nanos = cost_nanos
    await context.send_initial_metadata((*reply.headers, *cost_header(cost_nanos)))


def _check(request: pb.ChatRequest) -> None:
    if not request.model:
        raise InvalidRequestError("the request names no model", field="model")
    if not request.messages:
        raise InvalidRequestError("the request holds no message", field="messages")
