"""The words of the features: messages, tools and pictures that they have in common."""

from typing import Any

from meshgate.dialects.neutral import (
    ChatRequest,
    Message,
    Part,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452")
PDF = b"%PDF-1.7 a document"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
SCHEMA = (
    b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],'
    b'"additionalProperties":false}'
)
WEATHER = Tool(name="get_weather", description="The weather of a city.", parameters_json=SCHEMA)
TIME = Tool(name="get_time", description="The time in a city.", parameters_json=SCHEMA)
CALL = ToolCall(id="call_1", name="get_weather", arguments_json='{"city":"Paris"}')
SECOND_CALL = ToolCall(id="call_2", name="get_time", arguments_json='{"city":"Rome"}')
RAIN = ToolResult(tool_call_id="call_1", content=(Text("Rain"),))
NOON = ToolResult(tool_call_id="call_2", content=(Text("Noon"),))


def user(*parts: Part) -> Message:
    return Message(role=Role.USER, parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role=Role.ASSISTANT, parts=parts)


def told(*parts: Part) -> Message:
    return Message(role=Role.TOOL, parts=parts)


def system(*parts: Part) -> Message:
    return Message(role=Role.SYSTEM, parts=parts)


HI = user(Text("Hi"))


def asking(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(model="public", messages=messages or (HI,), **more)


HELLO = asking()
TURNS = asking(HI, assistant(Text("Hello!")), user(Text("Who are you?")))
WITH_TOOL = asking(tools=(WEATHER,))
WITH_TOOLS = asking(tools=(WEATHER, TIME))
CALLED = asking(HI, assistant(CALL), told(RAIN), tools=(WEATHER,))
