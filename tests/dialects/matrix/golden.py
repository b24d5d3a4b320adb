"""What stands in requests to upstreams whose requests nobody here reads.

The forms are those of the documentation below. Where there are several ways, and for all that is
`InOtherWords` or concerns effort, the way is the one that our writer has chosen: it is kept, not proven.

- Bedrock: the Converse operation of the Amazon Bedrock Runtime API reference, as botocore's service
  model `bedrock-runtime` has it, and what its user guide says of Claude.
- Cohere: the reference of `POST /v2/chat`, as the SDK's `V2ChatRequest` has it.
"""

import base64
import json
from typing import Any

from dialects.matrix import thinking
from dialects.matrix.vocabulary import PDF, PNG, SCHEMA, WAV
from dialects.matrix.ways import InOtherWords, Json, Lacks, OneOf

_PICTURE = base64.b64encode(PNG).decode()
_PDF = base64.b64encode(PDF).decode()
_PROSE = base64.b64encode(b"once upon a time").decode()
_SOUND = base64.b64encode(WAV).decode()
_SCHEMA = json.loads(SCHEMA)


def _bedrock_says(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


def _bedrock_turns(*turns: Any) -> dict[str, Any]:
    sides = ("user", "assistant")
    return {
        "messages": [
            {"role": sides[at % 2], "content": turn if isinstance(turn, list) else [turn]}
            for at, turn in enumerate(turns)
        ]
    }


def _bedrock_use(number: int, name: str, city: str) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": f"call_{number}", "name": name, "input": {"city": city}}}


def _bedrock_result(number: int, *content: Any, **more: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": f"call_{number}", "content": list(content), **more}}


def _bedrock_tools(*tools: Any, **more: Any) -> dict[str, Any]:
    return {"toolConfig": {"tools": [{"toolSpec": tool} for tool in tools], **more}}


def _bedrock_schema(**more: Any) -> dict[str, Any]:
    schema = {"schema": Json(_SCHEMA), "name": "place", **more}
    form = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    return {"outputConfig": {"textFormat": form}}


_B_WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "inputSchema": {"json": _SCHEMA},
}
_B_TIME = _B_WEATHER | {"name": "get_time", "description": "The time in a city."}
_B_USE = _bedrock_use(1, "get_weather", "Paris")
_B_RAIN = _bedrock_result(1, {"text": "Rain"})
_B_PICTURE = {"image": {"format": "png", "source": {"bytes": _PICTURE}}}
_B_PDF = {"format": "pdf", "source": {"bytes": _PDF}}
_HI = {"text": "Hi"}

_BEDROCK: dict[str, Any] = {
    "text": _bedrock_says({"text": "What is 2 + 2?"}),
    "text that is not ASCII": _bedrock_says({"text": 'né 日本 🎉 "\\\n\u2028'}),
    "several texts in a message": _bedrock_says(_HI, {"text": "there"}),
    "system prompt": {"system": [{"text": "Be brief."}]},
    "several system prompts": {"system": [{"text": "Be brief."}, {"text": "Be kind."}]},
    "system prompt amid the turns": {
        "messages": [
            {"role": "user", "content": [_HI]},
            {"role": "assistant", "content": [{"text": "Hello!"}]},
            {"role": "system", "content": [{"text": "Be brief."}]},
            {"role": "user", "content": [_HI]},
        ]
    },
    "developer prompt": {"system": [{"text": "Be brief."}]},
    "several turns": _bedrock_turns(_HI, {"text": "Hello!"}, {"text": "Who are you?"}),
    "two turns of one side": _bedrock_says(_HI, {"text": "Hello?"}),
    "the beginning of the answer": _bedrock_turns(_HI, {"text": "I am"}),
    "refusal of an earlier turn": InOtherWords(
        "as text", _bedrock_turns(_HI, {"text": "No."}, _HI)
    ),
    "picture by value": _bedrock_says({"text": "See"}, _B_PICTURE, {"text": "?"}),
    "document by value": _bedrock_says({"text": "Sum up"}, {"document": _B_PDF}),
    "name of a document": OneOf(
        _bedrock_says({"document": _B_PDF | {"name": "a.pdf"}}),
        _bedrock_says({"document": _B_PDF | {"name": "a"}}),
        _bedrock_says({"document": _B_PDF | {"name": "a pdf"}}),
        _bedrock_says({"document": _B_PDF | {"name": "a-pdf"}}),
    ),
    "plain text as a document": _bedrock_says(
        {"text": "Sum up"},
        {
            "document": {
                "format": "txt",
                "source": OneOf({"bytes": _PROSE}, {"text": "once upon a time"}),
            }
        },
    ),
    "document to be cited": _bedrock_says({"document": _B_PDF | {"citations": {"enabled": True}}}),
    "sound": _bedrock_says(
        {"text": "Listen"}, {"audio": {"format": "wav", "source": {"bytes": _SOUND}}}
    ),
    "tools": _bedrock_tools(_B_WEATHER, _B_TIME),
    "tool without parameters": _bedrock_tools({"name": "now", "inputSchema": {"json": {}}}),
    "strict tool": _bedrock_tools({"name": "get_weather", "strict": True}),
    "tool call": _bedrock_turns(_HI, _B_USE, _B_RAIN),
    "text before a tool call": _bedrock_turns(_HI, [{"text": "Let me see."}, _B_USE], _B_RAIN),
    "parallel tool calls": _bedrock_turns(
        _HI,
        [_B_USE, _bedrock_use(2, "get_time", "Rome")],
        [_B_RAIN, _bedrock_result(2, {"text": "Noon"})],
    ),
    "tool call without arguments": _bedrock_turns(
        _HI, {"toolUse": {"toolUseId": "call_1", "name": "get_weather", "input": {}}}, _B_RAIN
    ),
    "tool result with a picture": _bedrock_turns(
        _HI, _B_USE, _bedrock_result(1, {"text": "See"}, _B_PICTURE)
    ),
    "failed tool result": _bedrock_turns(
        _HI, _B_USE, _bedrock_result(1, {"text": "Rain"}, status="error")
    ),
    "text after a tool result": _bedrock_turns(_HI, _B_USE, [_B_RAIN, {"text": "And?"}]),
    "tools as the model likes": OneOf(
        _bedrock_tools(_B_WEATHER, _B_TIME, toolChoice={"auto": {}}),
        _bedrock_tools(_B_WEATHER, _B_TIME),
    ),
    "forced tool": _bedrock_tools(_B_WEATHER, _B_TIME, toolChoice={"any": {}}),
    "forbidden tools": Lacks("toolConfig"),  # there is no other way not to have any called
    "named tool": _bedrock_tools(_B_WEATHER, _B_TIME, toolChoice={"tool": {"name": "get_weather"}}),
    "one tool call at a time": {
        "additionalModelRequestFields": {
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}
        }
    },
    "one call at a time of the only tool": {
        "additionalModelRequestFields": {
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}
        }
    },
    "one call at a time of a named tool": {
        "additionalModelRequestFields": {
            "tool_choice": {
                "type": "tool",
                "name": "get_weather",
                "disable_parallel_tool_use": True,
            }
        }
    },
    "reasoning effort with a forced tool": InOtherWords(
        "without thinking", Lacks("additionalModelRequestFields")
    ),
    "JSON schema": _bedrock_schema(),
    "strict JSON schema": _bedrock_schema(),  # every schema is kept to
    "description of the schema": _bedrock_schema(description="A place."),
    "stop sequences": {"inferenceConfig": {"stopSequences": ["END", "STOP"]}},
    "most output tokens": {"inferenceConfig": {"maxTokens": 321}},
    "temperature": {"inferenceConfig": {"temperature": 0.625}},
    "temperature of zero": {"inferenceConfig": {"temperature": 0.0}},
    "temperature above one": {"inferenceConfig": {"temperature": 1.5}},
    "top_p": {"inferenceConfig": {"topP": 0.875}},
    "top_k": {"additionalModelRequestFields": {"top_k": 37}},
    **thinking.BEDROCK,
    "metadata": {"requestMetadata": {"team": "blue"}},
    "what to cache of the messages": _bedrock_says(_HI, {"cachePoint": {"type": "default"}}),
    "what to cache of the system prompt": {
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    },
    "what to cache of the tools": {
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "now"}}, {"cachePoint": {"type": "default"}}]
        }
    },
}


def _cohere_asks(*contents: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content} for content in contents]}


def _cohere_texts(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


def _cohere_call(number: int, name: str, arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": Json(arguments)}
    return {"id": f"call_{number}", "type": "function", "function": function}


def _cohere_called(*more: Any, calls: Any = None, **assistant: Any) -> dict[str, Any]:
    calls = calls or [_cohere_call(1, "get_weather", {"city": "Paris"})]
    said = {"role": "assistant", "tool_calls": calls, **assistant}
    return {"messages": [{"role": "user"}, said, _cohere_result(1, "Rain"), *more]}


def _cohere_turned(content: Any) -> dict[str, Any]:
    question = {"role": "user", "content": "Hi"}
    return {"messages": [question, {"role": "assistant", "content": content}, question]}


def _cohere_failed() -> dict[str, Any]:
    called: list[dict[str, Any]] = _cohere_called()["messages"]
    error = [{"type": "document", "document": {"data": {"error": "Rain"}}}]
    return {"messages": [*called[:-1], {**called[-1], "content": error}]}


def _cohere_result(number: int, text: str) -> dict[str, Any]:
    as_document = [{"type": "document", "document": {"data": {"content": text}}}]
    content = OneOf(text, _cohere_texts(text), as_document)
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": content}


def _cohere_tools(*tools: Any, **more: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": tool} for tool in tools], **more}


def _cohere_system(*texts: str) -> dict[str, Any]:
    prompts = [{"role": "system", "content": OneOf(text, _cohere_texts(text))} for text in texts]
    as_one = [{"role": "system", "content": _cohere_texts(*texts)}]
    question = [{"role": "user", "content": OneOf("Hi", _cohere_texts("Hi"))}]
    return {"messages": OneOf(prompts + question, as_one + question)}


_C_WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": _SCHEMA,
}
_C_TIME = _C_WEATHER | {"name": "get_time", "description": "The time in a city."}
_C_URL = {"url": "https://x.example/a.png"}
_C_HELLO = {"role": "assistant", "content": OneOf("Hello!", _cohere_texts("Hello!"))}
_C_SCHEMA = OneOf(
    {"type": "json_object", "json_schema": _SCHEMA}, {"type": "json_object", "schema": _SCHEMA}
)

_COHERE: dict[str, Any] = {
    "text": _cohere_asks("What is 2 + 2?"),
    "text that is not ASCII": _cohere_asks('né 日本 🎉 "\\\n\u2028'),
    "several texts in a message": _cohere_asks(_cohere_texts("Hi", "there")),
    "system prompt": _cohere_system("Be brief."),
    "several system prompts": _cohere_system("Be brief.", "Be kind."),
    "system prompt amid the turns": {
        "messages": [
            {"role": "user", "content": "Hi"},
            _C_HELLO,
            {"role": "system", "content": OneOf("Be brief.", _cohere_texts("Be brief."))},
            {"role": "user", "content": "Hi"},
        ]
    },
    "developer prompt": _cohere_system("Be brief."),
    "several turns": {
        "messages": [
            {"role": "user", "content": "Hi"},
            _C_HELLO,
            {"role": "user", "content": "Who are you?"},
        ]
    },
    "two turns of one side": OneOf(
        _cohere_asks("Hi", "Hello?"), _cohere_asks(_cohere_texts("Hi", "Hello?"))
    ),
    "the beginning of the answer": {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": OneOf("I am", _cohere_texts("I am"))},
        ]
    },
    "refusal of an earlier turn": InOtherWords("as text", _cohere_turned("No.")),
    "thoughts of an earlier turn": _cohere_turned(
        [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hello!"}]
    ),
    "plain text as a document": InOtherWords(
        "as one of `documents`",
        {**_cohere_asks("Sum up"), "documents": [{"data": {"text": "once upon a time"}}]},
    ),
    "picture by URL": _cohere_asks([{"type": "image_url", "image_url": _C_URL}]),
    "detail of a picture": _cohere_asks(
        [{"type": "image_url", "image_url": _C_URL | {"detail": "low"}}]
    ),
    "picture by value": _cohere_asks(
        [
            {"type": "text", "text": "See"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PICTURE}"}},
            {"type": "text", "text": "?"},
        ]
    ),
    "tools": _cohere_tools(_C_WEATHER, _C_TIME),
    "tool without parameters": _cohere_tools({"name": "now"}),
    "strict tool": _cohere_tools({"name": "get_weather"}, strict_tools=True),
    "tool call": _cohere_called(),
    "text before a tool call": OneOf(
        _cohere_called(tool_plan="Let me see."),
        _cohere_called(content=OneOf("Let me see.", _cohere_texts("Let me see."))),
    ),
    "parallel tool calls": _cohere_called(
        _cohere_result(2, "Noon"),
        calls=[
            _cohere_call(1, "get_weather", {"city": "Paris"}),
            _cohere_call(2, "get_time", {"city": "Rome"}),
        ],
    ),
    "tool call without arguments": _cohere_called(calls=[_cohere_call(1, "get_weather", {})]),
    "text after a tool result": _cohere_called(
        {"role": "user", "content": OneOf("And?", _cohere_texts("And?"))}
    ),
    "failed tool result": InOtherWords("as the error of a document", _cohere_failed()),
    "forced tool": _cohere_tools(_C_WEATHER, _C_TIME, tool_choice="REQUIRED"),
    "forbidden tools": _cohere_tools(_C_WEATHER, _C_TIME, tool_choice="NONE"),
    "named tool": InOtherWords(
        "as the only tool", _cohere_tools(_C_WEATHER, tool_choice="REQUIRED")
    ),
    "tools as the model likes": _cohere_tools(_C_WEATHER, _C_TIME),
    "reasoning effort with a forced tool": InOtherWords(
        "as token_budget 4096",
        {
            **_cohere_tools(_C_WEATHER, tool_choice="REQUIRED"),
            "thinking": {"type": "enabled", "token_budget": 4_096},
        },
    ),
    **thinking.COHERE,
    "JSON object": {"response_format": {"type": "json_object"}},
    "JSON schema": {"response_format": _C_SCHEMA},
    "strict JSON schema": {"response_format": _C_SCHEMA},  # every schema is kept to
    "stop sequences": {"stop_sequences": ["END", "STOP"]},
    "most output tokens": {"max_tokens": 321},
    "temperature": {"temperature": 0.625},
    "temperature of zero": {"temperature": 0.0},
    "temperature above one": {"temperature": 1.5},
    "top_p": {"p": 0.875},
    "top_k": {"k": 37},
    "seed": {"seed": 48151623},
    "frequency penalty": {"frequency_penalty": 0.25},
    "presence penalty": {"presence_penalty": 0.75},
}

GOLDEN: dict[str, dict[str, Any]] = {"bedrock_converse": _BEDROCK, "cohere_chat": _COHERE}
