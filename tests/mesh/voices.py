"""The official SDKs, each holding a conversation in its own way, so that one test can judge them all.

A talk keeps what was said as its SDK's users keep it: what the model said goes back as it came.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import anthropic
import httpx
import httpx2
import openai
from gateway_process import Gateway
from google import genai
from google.genai import types
from plain_http import TRUSTS_NOBODY

Form = Literal["plain", "streamed"]
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_PICTURE = base64.b64encode(PICTURE).decode()
_BUDGET = 1024


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What a conversation is about.

    Attributes:
        model: As the gateway names it.
        form: How answers are asked for.
        tool: The name of one that may be called with PARAMETERS; empty for none.
        schema: What answers are to be in JSON.
        thoughts: How the model is told to think and to show it, where the SDK has more than one way.
    """

    model: str
    form: Form = "plain"
    tool: str = ""
    schema: dict[str, Any] | None = None
    thoughts: Literal["unasked", "by budget", "by effort"] = "unasked"


@dataclass(frozen=True)
class Call:
    """A tool call, as the SDK tells it."""

    id: str | None
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What an answer says; `input_tokens` are with the cached ones, whatever the SDK's own sense."""

    text: str
    thought: str = ""
    calls: tuple[Call, ...] = ()
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int


class Talk(Protocol):
    """A conversation."""

    def say(self, text: str, picture: bytes | None = None) -> Heard: ...

    def give(self, results: Sequence[str]) -> Heard:
        """Give back what the tools said that were called last, in the order of the calls."""
        ...

    def move(self, model: str) -> None:
        """Go on with another model."""
        ...


class ChatCompletions:
    """openai's chat completions."""

    def __init__(self, client: openai.OpenAI, asking: Asking) -> None:
        self._client = client
        self._asking = asking
        self._messages: list[Any] = []
        self._asked: dict[str, Any] = {"model": asking.model, "messages": self._messages}
        if asking.tool:
            function = {"name": asking.tool, "parameters": PARAMETERS}
            self._asked["tools"] = [{"type": "function", "function": function}]
        if asking.schema:
            named = {"name": "place", "schema": asking.schema, "strict": True}
            self._asked["response_format"] = {"type": "json_schema", "json_schema": named}
        if asking.thoughts != "unasked":
            self._asked["reasoning_effort"] = "low"

    def say(self, text: str, picture: bytes | None = None) -> Heard:
        content: Any = text
        if picture is not None:
            url = {"url": f"data:image/png;base64,{_PICTURE}"}
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": url}]
        self._messages.append({"role": "user", "content": content})
        return self._ask()

    def give(self, results: Sequence[str]) -> Heard:
        calls = self._messages[-1]["tool_calls"]
        for call, result in zip(calls, results, strict=True):
            self._messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        return self._ask()

    def move(self, model: str) -> None:
        self._asked["model"] = model

    def _ask(self) -> Heard:
        completions = self._client.chat.completions
        if self._asking.form == "plain":
            answer: Any = completions.create(**self._asked)
        else:
            options: Any = {"include_usage": True}
            with completions.stream(**self._asked, stream_options=options) as stream:
                answer = stream.get_final_completion()
        message = answer.choices[0].message
        self._messages.append(message.model_dump(exclude_none=True))
        return Heard(
            text=message.content or "",
            thought=getattr(message, "reasoning_content", None) or "",
            calls=tuple(
                Call(it.id, it.function.name, json.loads(it.function.arguments))
                for it in message.tool_calls or ()
            ),
            input_tokens=answer.usage.prompt_tokens,
            cached_input_tokens=answer.usage.prompt_tokens_details.cached_tokens,
            output_tokens=answer.usage.completion_tokens,
        )


class Responses:
    """openai's responses."""

    def __init__(self, client: openai.OpenAI, asking: Asking) -> None:
        self._client = client
        self._asking = asking
        self._items: list[Any] = []
        self._asked: dict[str, Any] = {"model": asking.model, "input": self._items}
        if asking.tool:
            tool = {"type": "function", "name": asking.tool, "parameters": PARAMETERS}
            self._asked["tools"] = [tool | {"strict": False}]
        if asking.schema:
            named = {"name": "place", "schema": asking.schema, "strict": True}
            self._asked["text"] = {"format": {"type": "json_schema", **named}}
        if asking.thoughts != "unasked":
            self._asked["reasoning"] = {"effort": "low", "summary": "auto"}

    def say(self, text: str, picture: bytes | None = None) -> Heard:
        content: Any = text
        if picture is not None:
            url = f"data:image/png;base64,{_PICTURE}"
            content = [
                {"type": "input_text", "text": text},
                {"type": "input_image", "image_url": url, "detail": "auto"},
            ]
        self._items.append({"role": "user", "content": content})
        return self._ask()

    def give(self, results: Sequence[str]) -> Heard:
        calls = [it for it in self._items if getattr(it, "type", "") == "function_call"]
        for call, result in zip(calls, results, strict=True):
            given = {"type": "function_call_output", "call_id": call.call_id, "output": result}
            self._items.append(given)
        return self._ask()

    def move(self, model: str) -> None:
        self._asked["model"] = model

    def _ask(self) -> Heard:
        if self._asking.form == "plain":
            answer: Any = self._client.responses.create(**self._asked)
        else:
            with self._client.responses.stream(**self._asked) as stream:
                answer = stream.get_final_response()
        self._items += answer.output
        thoughts = [it for it in answer.output if it.type == "reasoning"]
        return Heard(
            text=answer.output_text,
            thought="".join(part.text for it in thoughts for part in it.summary),
            calls=tuple(
                Call(it.call_id, it.name, json.loads(it.arguments))
                for it in answer.output
                if it.type == "function_call"
            ),
            input_tokens=answer.usage.input_tokens,
            cached_input_tokens=answer.usage.input_tokens_details.cached_tokens,
            output_tokens=answer.usage.output_tokens,
        )


class Messages:
    """anthropic's messages."""

    def __init__(self, client: anthropic.Anthropic, asking: Asking) -> None:
        self._client = client
        self._asking = asking
        self._messages: list[Any] = []
        self._asked: dict[str, Any] = {
            "model": asking.model,
            "messages": self._messages,
            "max_tokens": 2 * _BUDGET,
        }
        if asking.tool:
            self._asked["tools"] = [{"name": asking.tool, "input_schema": PARAMETERS}]
        if asking.schema:
            wanted = {"type": "json_schema", "schema": asking.schema}
            self._asked["output_config"] = {"format": wanted}
        if asking.thoughts == "by budget":
            self._asked["thinking"] = {"type": "enabled", "budget_tokens": _BUDGET}
        if asking.thoughts == "by effort":
            self._asked["thinking"] = {"type": "adaptive"}
            self._asked["output_config"] = {"effort": "low"}

    def say(self, text: str, picture: bytes | None = None) -> Heard:
        content: Any = text
        if picture is not None:
            source = {"type": "base64", "media_type": "image/png", "data": _PICTURE}
            content = [{"type": "image", "source": source}, {"type": "text", "text": text}]
        self._messages.append({"role": "user", "content": content})
        return self._ask()

    def give(self, results: Sequence[str]) -> Heard:
        calls = [it for it in self._messages[-1]["content"] if it.type == "tool_use"]
        blocks = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(calls, results, strict=True)
        ]
        self._messages.append({"role": "user", "content": blocks})
        return self._ask()

    def move(self, model: str) -> None:
        self._asked["model"] = model

    def _ask(self) -> Heard:
        if self._asking.form == "plain":
            answer: Any = self._client.messages.create(**self._asked)
        else:
            with self._client.messages.stream(**self._asked) as stream:
                answer = stream.get_final_message()
        self._messages.append({"role": "assistant", "content": answer.content})
        blocks, usage = answer.content, answer.usage
        cached = usage.cache_read_input_tokens or 0
        return Heard(
            text="".join(it.text for it in blocks if it.type == "text"),
            thought="".join(it.thinking for it in blocks if it.type == "thinking"),
            calls=tuple(Call(it.id, it.name, it.input) for it in blocks if it.type == "tool_use"),
            input_tokens=usage.input_tokens + cached,
            cached_input_tokens=cached,
            output_tokens=usage.output_tokens,
        )


class GeneratedContent:
    """google-genai's chats, which keep the history themselves."""

    def __init__(self, client: genai.Client, asking: Asking) -> None:
        self._asking = asking
        self._calls: tuple[Call, ...] = ()
        config = self._config = types.GenerateContentConfig()
        if asking.tool:
            declared = types.FunctionDeclaration(
                name=asking.tool, parameters_json_schema=PARAMETERS
            )
            config.tools = [types.Tool(function_declarations=[declared])]
        if asking.schema:
            config.response_mime_type = "application/json"
            config.response_json_schema = asking.schema
        if asking.thoughts != "unasked":
            config.thinking_config = types.ThinkingConfig(include_thoughts=True)
        if asking.thoughts == "by budget":
            config.thinking_config.thinking_budget = _BUDGET
        if asking.thoughts == "by effort":
            config.thinking_config.thinking_level = types.ThinkingLevel.LOW
        self._client = client
        self._chat = client.chats.create(model=asking.model, config=config)

    def say(self, text: str, picture: bytes | None = None) -> Heard:
        parts = [types.Part.from_text(text=text)]
        if picture is not None:
            parts.append(types.Part.from_bytes(data=picture, mime_type="image/png"))
        return self._ask(parts)

    def give(self, results: Sequence[str]) -> Heard:
        return self._ask(
            [
                types.Part(
                    function_response=types.FunctionResponse(
                        id=call.id, name=call.name, response={"output": result}
                    )
                )
                for call, result in zip(self._calls, results, strict=True)
            ]
        )

    def move(self, model: str) -> None:
        history: Any = self._chat.get_history(curated=True)
        self._chat = self._client.chats.create(model=model, config=self._config, history=history)

    def _ask(self, message: list[types.Part]) -> Heard:
        if self._asking.form == "plain":
            answers = [self._chat.send_message(message)]
        else:
            answers = list(self._chat.send_message_stream(message))
        parts = [
            part
            for answer in answers
            for candidate in answer.candidates or ()
            for part in (candidate.content.parts if candidate.content else None) or ()
        ]
        self._calls = tuple(
            Call(it.function_call.id, it.function_call.name or "", it.function_call.args or {})
            for it in parts
            if it.function_call
        )
        usage = answers[-1].usage_metadata
        assert usage is not None
        return Heard(
            text="".join(it.text or "" for it in parts if not it.thought),
            thought="".join(it.text or "" for it in parts if it.thought),
            calls=self._calls,
            input_tokens=usage.prompt_token_count or 0,
            cached_input_tokens=usage.cached_content_token_count or 0,
            output_tokens=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        )


class Voices:
    """The clients of a gateway, by the names of what their SDKs speak."""

    NAMES = ("chat completions", "responses", "messages", "generated content")

    def __init__(self, gateway: Gateway) -> None:
        self._http = httpx.Client(trust_env=False, verify=TRUSTS_NOBODY)
        self._http2 = httpx2.Client(trust_env=False, verify=TRUSTS_NOBODY)
        self._openai = openai.OpenAI(
            base_url=f"{gateway.base_url}/v1",
            api_key=gateway.key,
            http_client=self._http,
            max_retries=0,
        )
        self._anthropic = anthropic.Anthropic(
            base_url=gateway.base_url,
            api_key=gateway.key,
            http_client=self._http2,
            max_retries=0,
        )
        options = types.HttpOptions(
            base_url=gateway.base_url,
            timeout=60_000,
            client_args={"trust_env": False, "verify": TRUSTS_NOBODY},
            async_client_args={"ssl": TRUSTS_NOBODY},
            retry_options=types.HttpRetryOptions(attempts=1),
        )
        self._genai = genai.Client(api_key=gateway.key, vertexai=False, http_options=options)

    def close(self) -> None:
        self._http.close()
        self._http2.close()
        self._genai.close()

    def talk(self, name: str, asking: Asking) -> Talk:
        """Begin a conversation in one of NAMES."""
        if name == "chat completions":
            return ChatCompletions(self._openai, asking)
        if name == "responses":
            return Responses(self._openai, asking)
        if name == "messages":
            return Messages(self._anthropic, asking)
        return GeneratedContent(self._genai, asking)
