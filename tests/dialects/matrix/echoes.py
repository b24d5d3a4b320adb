"""An answer sent back by its caller: as an application does that goes on with the conversation."""

import json
from collections.abc import Callable
from typing import Any

from dialects.matrix import corpora
from dialects.matrix.judgement import Judgement, Outcome

from meshgate.dialects.translation import translator
from meshgate.v1 import gateway_service_pb2

_SIGNATURE = b"EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk="
_REDACTED = b"EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP"
_GOOGLES = b"CsIBAdHtim8sZ2FtbWE="
SIGNED: dict[str, dict[str, bytes]] = {
    "anthropic_messages": {
        "thoughts": _SIGNATURE,
        "thoughts_before_a_call": _SIGNATURE,
        "redacted_thoughts": _REDACTED,
    },
    "bedrock_converse": {"thoughts": _SIGNATURE, "redacted_thoughts": _REDACTED},
    "openai_responses": {"thoughts": b"gAAAAABoISQ24OyVRYbkYfukdJoqdzWT"},
    "gemini_generate": {"signed_call": _GOOGLES, "signed_text": _GOOGLES},
}
"""The signatures in recorded answers, as the upstreams that made them want them back."""


def judged_echo(caller: str, upstream: str, name: str) -> Judgement:
    """Translate a recorded answer, send it back, and see whether its maker gets its signature."""
    sent = sent_back(caller, upstream, name, upstream)
    if SIGNED[upstream][name] in sent:
        return Judgement(Outcome.CARRIED)
    return Judgement(Outcome.LOST, f"the signature does not stand in {sent!r}")


def sent_back(caller: str, maker: str, name: str, upstream: str) -> bytes:
    """What an upstream is sent of an answer that another, or itself, has made before."""
    way = translator(caller, maker)
    answer = way.answer(corpora.answers(maker)[name], created=1).body
    return translator(caller, upstream).request(_ECHOES[caller](answer), "m", stream=False).body


def _of_chat(answer: bytes) -> bytes:
    message = json.loads(answer)["choices"][0]["message"]
    said = {name: value for name, value in message.items() if value is not None}
    return _written(messages=[*_asked("content", "Hi"), said, *_went_on(said)])


def _went_on(said: dict[str, Any]) -> list[dict[str, Any]]:
    """What follows: results of the tools that were called, or another question."""
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "Rain"}
        for call in said.get("tool_calls", ())
    ]
    return results or _asked("content", "And?")


def _of_messages(answer: bytes) -> bytes:
    content = json.loads(answer)["content"]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "Rain"}
        for block in content
        if block["type"] == "tool_use"
    ]
    turns = [
        *_asked("content", "Hi"),
        {"role": "assistant", "content": content},
        *_asked("content", results or "And?"),
    ]
    return _written(max_tokens=100, messages=turns, tools=_anthropic_tools(content))


def _anthropic_tools(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": block["name"], "input_schema": {"type": "object"}}
        for block in content
        if block["type"] == "tool_use"
    ]


def _of_responses(answer: bytes) -> bytes:
    output = json.loads(answer)["output"]
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "Rain"}
        for item in output
        if item["type"] == "function_call"
    ]
    return _written(
        input=[*_asked("content", "Hi"), *output, *(results or _asked("content", "And?"))],
        store=False,
    )


def _of_gemini(answer: bytes) -> bytes:
    content = json.loads(answer)["candidates"][0]["content"]
    results = [
        {"functionResponse": {**_named(part["functionCall"]), "response": {"result": "Rain"}}}
        for part in content["parts"]
        if "functionCall" in part
    ]
    turns = [
        *_asked("parts", [{"text": "Hi"}]),
        content,
        *_asked("parts", results or [{"text": "And?"}]),
    ]
    return _written(contents=turns)


def _named(call: dict[str, Any]) -> dict[str, Any]:
    return {name: call[name] for name in ("id", "name") if name in call}


def _of_typed(answer: bytes) -> bytes:
    message = gateway_service_pb2.ChatResponse.FromString(answer).message
    request = gateway_service_pb2.ChatRequest(model="public")
    request.messages.add(role="ROLE_USER").parts.add(text="Hi")
    request.messages.append(message)
    results = [part.tool_call.id for part in message.parts if part.HasField("tool_call")]
    if not results:
        request.messages.add(role="ROLE_USER").parts.add(text="And?")
    for call_id in results:
        result = request.messages.add(role="ROLE_TOOL").parts.add().tool_result
        result.tool_call_id, result.text = call_id, "Rain"
    return request.SerializeToString()


def _asked(member: str, what: Any) -> list[dict[str, Any]]:
    return [{"role": "user", member: what}]


def _written(**members: Any) -> bytes:
    return json.dumps({"model": "public", **members}).encode()


_ECHOES: dict[str, Callable[[bytes], bytes]] = {
    "openai_chat": _of_chat,
    "anthropic_messages": _of_messages,
    "openai_responses": _of_responses,
    "gemini_generate": _of_gemini,
    "meshgate_chat": _of_typed,
}
