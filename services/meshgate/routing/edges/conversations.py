"""GatewayService.Converse: conversations, on streams of messages both ways."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from msgspec.structs import replace

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.meshgate_chat import conversation as wire
from meshgate.dialects.meshgate_chat import read_request, write_request
from meshgate.dialects.meshgate_chat.read_response import StreamReader
from meshgate.dialects.neutral import ChatRequest
from meshgate.routing.arrival import Arrival
from meshgate.routing.conversation import Bounds, Conversation
from meshgate.routing.dialogue import (
    Cancel,
    Cancelled,
    Dialogue,
    Draining,
    Finish,
    Heard,
    Idle,
    Reported,
    Said,
    Step,
    Told,
    Unreadable,
    stop,
)
from meshgate.routing.edges.costed_answer import chunks_of, events_of
from meshgate.routing.peers.provider import Headers
from meshgate.routing.pipeline import Pipeline
from meshgate.routing.reply import Reply
from meshgate.runtime.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    GatewayError,
    InvalidRequestError,
    ServiceUnavailableError,
)
from meshgate.runtime.status import status_of
from meshgate.v1 import chat_pb2
from meshgate.v1 import gateway_service_pb2 as pb
from meshgate.v1 import provider_service_pb2 as provider_pb

_METHOD = "GatewayService.Converse"

Requests = AsyncIterator[pb.ConverseRequest]


class Conversations:
    """Holds conversations, each turn by way of the pipeline.

    Args:
        pipeline: Answers turns.
        idle_seconds: How long a conversation may rest between them.
        bounds: How much it may become.
    """

    def __init__(
        self, pipeline: Pipeline, idle_seconds: float = 240.0, bounds: Bounds | None = None
    ) -> None:
        self._pipeline = pipeline
        self._idle_seconds = idle_seconds
        self._bounds = bounds or Bounds()
        self._leaving = asyncio.Event()

    def drain(self) -> None:
        """Close each conversation after the turn that is in progress."""
        self._leaving.set()

    async def hold(
        self, requests: Requests, context: Any
    ) -> AsyncGenerator[pb.ConverseResponse, None]:
        """One conversation, from its first message to its end.

        Raises:
            GatewayError: It cannot begin, or the caller may ask no longer.
        """
        arrival = Arrival.from_context(context, _METHOD)
        await self._pipeline.authenticate(arrival)
        conversation = await self._begin(requests, arrival)
        await context.send_initial_metadata(())
        turns = _Turns(self._pipeline, context)
        dialogue = Dialogue(conversation, turns.answer, self._leaving, self._idle_seconds)
        async with aclosing(dialogue.told(_heard(requests))) as told:
            async for each in told:
                yield _written(each)

    async def _begin(self, requests: Requests, arrival: Arrival) -> Conversation:
        first = await self._first(requests)
        if not first.HasField("start"):
            raise InvalidRequestError("the first message must be a start", field="start")
        chat = first.start.chat
        if not chat.model:
            raise InvalidRequestError("the start names no model", field="start.chat.model")
        opening = read_request.read_message(chat)
        await self._pipeline.model(arrival, chat.model)
        return Conversation(opening, self._bounds)

    async def _first(self, requests: Requests) -> pb.ConverseRequest:
        """The first message, if it comes in time and before the process is to end."""
        coming = asyncio.create_task(_next(requests))
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            await asyncio.wait(
                (coming, leaving),
                timeout=self._idle_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if coming.done():
                return coming.result()
        finally:
            await stop((coming, leaving))
        if self._leaving.is_set():
            raise ServiceUnavailableError("this server is being stopped", retry_after_seconds=1)
        raise DeadlineExceededError("no message came in time", field="start")


class _Turns:
    """Answers the turns of one conversation."""

    def __init__(self, pipeline: Pipeline, context: Any) -> None:
        self._pipeline = pipeline
        self._context = context
        self._standings: list[pb.LimitStanding] = []

    async def answer(self, question: ChatRequest, turn: int) -> AsyncGenerator[Step, None]:
        arrival = Arrival.from_context(self._context, _METHOD)  # with the time of this turn
        arrival = replace(arrival, request_id=f"{arrival.request_id}-{turn}")
        body = write_request.write(question, question.model, stream=True)
        reply = await self._pipeline.answer(
            arrival, provider_pb.DIALECT_MESHGATE_CHAT, body, _read_head
        )
        async with aclosing(self._steps(reply)) as steps:
            async for step in steps:
                yield step

    async def _steps(self, reply: Reply) -> AsyncGenerator[Step, None]:
        reader = StreamReader()
        async with aclosing(chunks_of(reply)), aclosing(events_of(reply)) as events:
            standings = _standings(reply.headers)
            if standings != self._standings:
                self._standings = standings
                yield Step(pb.ConversationLimits(standings=standings))
            async for event in events:
                yield Step(event, reader.read(event))


async def _next(requests: Requests) -> pb.ConverseRequest:
    """The next message; an empty one at the end."""
    return await anext(requests, pb.ConverseRequest())


def _read_head(body: bytes) -> RequestHead:
    return replace(read_request.read_head(body), stream=True)


async def _heard(requests: Requests) -> AsyncGenerator[Heard, None]:
    async for request in requests:
        try:
            yield _read(request)
        except GatewayError as error:
            yield Unreadable(error)


def _read(request: pb.ConverseRequest) -> Heard:
    match request.WhichOneof("kind"):
        case "user":
            return _read_user(request.user)
        case "tool_results":
            return _read_results(request.tool_results)
        case "cancel":
            return Cancel()
        case "finish":
            return Finish()
        case "start":
            raise FailedPreconditionError("the conversation has begun already", field="start")
    raise InvalidRequestError("the message must have a kind that is known")


def _read_user(user: pb.UserMessage) -> Said:
    if not user.parts:
        raise InvalidRequestError("the user must say something", field="user.parts")
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=user.parts, name=user.name)
    return Said(wire.read_message(message, "user"))


def _read_results(results: pb.ToolResults) -> Reported:
    return Reported(
        tuple(
            wire.read_result(result, f"tool_results.results[{at}]")
            for at, result in enumerate(results.results)
        )
    )


def _written(told: Told) -> pb.ConverseResponse:
    response = pb.ConverseResponse(turn=told.turn)
    match told.what:
        case chat_pb2.ChatEvent() as event:
            response.event.CopyFrom(event)
        case pb.ConversationLimits() as limits:
            response.limits.CopyFrom(limits)
        case GatewayError() as error:
            response.error.CopyFrom(status_of(error))
        case Cancelled(answer_kept=kept):
            response.cancelled.answer_kept = kept
        case Draining():
            response.closing.reason = pb.CONVERSATION_CLOSING_REASON_DRAINING
        case Idle():
            response.closing.reason = pb.CONVERSATION_CLOSING_REASON_IDLE
    return response


def _standings(headers: Headers) -> list[pb.LimitStanding]:
    """How limits stand, as the headers of an answer say it."""
    told = dict(headers)
    return [
        pb.LimitStanding(
            kind=kind,
            amount=int(told[f"x-ratelimit-limit-{kind}"]),
            remaining=int(told[f"x-ratelimit-remaining-{kind}"]),
        )
        for kind in ("requests", "tokens")
        if f"x-ratelimit-limit-{kind}" in told
    ]
