"""A client that holds a conversation, and what its upstream says."""

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from routing.fakes import BOUND_SECONDS, chunk, done, head
from routing.gateway import credentials

from meshgate.dialects.meshgate_chat.write_response import StreamWriter
from meshgate.dialects.neutral import (
    ChatEvent,
    Finished,
    FinishReason,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from meshgate.v1 import chat_pb2
from meshgate.v1 import gateway_service_pb2 as pb

STARTED = Started(id="c-1", served_model="up")
FINISHED = Finished(reason=FinishReason.STOP, usage=Usage(input_tokens=1, output_tokens=2))
CALLED = Finished(reason=FinishReason.TOOL_CALLS, usage=Usage(input_tokens=1, output_tokens=2))
CALL = ToolCallDelta(index=0, id="c1", name="clock", arguments_fragment="{}")


def saying(*texts: str) -> list[Any]:
    """The steps of a provider that says these texts, piece by piece."""
    return telling(STARTED, *map(TextDelta, texts), FINISHED)


def telling(*events: ChatEvent) -> list[Any]:
    """The steps of a provider that tells these events, each in a chunk of its own."""
    return [*beginning(*events), done()]


def beginning(*events: ChatEvent) -> list[Any]:
    """The same, without the end."""
    writer = StreamWriter(created=1, include_usage=True)
    return [head(), *(chunk(writer.write([event])) for event in events)]


def message(role: Any, text: str) -> chat_pb2.Message:
    return chat_pb2.Message(role=role, parts=[chat_pb2.Part(text=text)])


def start(model: str = "m", *messages: chat_pb2.Message, **fields: Any) -> pb.ConverseRequest:
    chat = pb.ChatRequest(model=model, messages=messages, **fields)
    return pb.ConverseRequest(start=pb.ConversationStart(chat=chat))


def user(text: str = "hi") -> pb.ConverseRequest:
    return pb.ConverseRequest(user=pb.UserMessage(parts=[chat_pb2.Part(text=text)]))


def results(*ids: str) -> pb.ConverseRequest:
    given = [chat_pb2.ToolResult(tool_call_id=call_id, text="noon") for call_id in ids]
    return pb.ConverseRequest(tool_results=pb.ToolResults(results=given))


CANCEL = pb.ConverseRequest(cancel=pb.ConversationCancel())
FINISH = pb.ConverseRequest(finish=pb.ConversationFinish())


class Talk:
    """The client's side of a conversation. Every wait is bounded.

    Attributes:
        call: The call itself.
    """

    def __init__(self, stub: Any, wanted: dict[str, Any] | None = None) -> None:
        self.call = stub.Converse(**(wanted or credentials()))

    async def send(self, *messages: pb.ConverseRequest) -> None:
        async with asyncio.timeout(BOUND_SECONDS):
            for each in messages:
                await self.call.write(each)

    async def hear(self) -> pb.ConverseResponse:
        async with asyncio.timeout(BOUND_SECONDS):
            heard = await self.call.read()
        assert isinstance(heard, pb.ConverseResponse), "the stream has ended"
        return heard

    async def hear_until(self, kind: str) -> list[pb.ConverseResponse]:
        """What comes up to the first message of that kind: of a response or of its event."""
        heard = [await self.hear()]
        while kind not in kinds(heard[-1:]):
            heard.append(await self.hear())
        return heard

    async def turn(self, request: pb.ConverseRequest) -> list[pb.ConverseResponse]:
        """Begin a turn, and hear it to the end of its answer."""
        await self.send(request)
        return await self.hear_until("finished")

    async def rest(self) -> list[pb.ConverseResponse]:
        """What comes until the stream ends."""
        heard: list[pb.ConverseResponse] = []
        async with asyncio.timeout(BOUND_SECONDS):
            while isinstance(each := await self.call.read(), pb.ConverseResponse):
                heard.append(each)
        return heard


def kinds(heard: list[pb.ConverseResponse]) -> list[str | None]:
    """What each message is; of events, which."""
    return [
        each.event.WhichOneof("kind") if each.HasField("event") else each.WhichOneof("kind")
        for each in heard
    ]


def reason(heard: pb.ConverseResponse) -> str:
    """Why a turn has failed."""
    info = error_details_pb2.ErrorInfo()
    assert heard.error.details[0].Unpack(info)
    return info.reason.removeprefix("ERROR_REASON_")


async def failure_of(talk: Talk) -> grpc.aio.AioRpcError:
    """How a conversation has failed."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await talk.rest()
    return raised.value


def text(heard: list[pb.ConverseResponse]) -> str:
    return "".join(each.event.text_delta for each in heard)


def asked(request: Any) -> list[tuple[str, str]]:
    """What an upstream was asked: each role, and what it said, did or got."""
    chat = pb.ChatRequest.FromString(request.body)
    return [
        (chat_pb2.Role.Name(each.role).removeprefix("ROLE_").lower(), _said(part))
        for each in chat.messages
        for part in each.parts
    ]


def _said(part: chat_pb2.Part) -> str:
    kind = part.WhichOneof("kind")
    match kind:
        case "text":
            return part.text
        case "tool_call":
            return f"call {part.tool_call.name}"
        case "tool_result":
            return f"result {part.tool_result.text}"
    return str(kind)
