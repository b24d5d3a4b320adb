"""The texts of chat completion requests and answers.

What is said stands where the API says so, and everything in a message that the API does not know is
looked at as well. Pictures, sounds and files are not looked at, nor are the tools that a request
defines: those are the application's own words.
"""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw

from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.json_text import (
    Found,
    JsonCut,
    Path,
    in_items,
    in_json,
    in_members,
    in_value,
    replaced,
)
from meshgate.dialects.openai_api.request_body import decode
from meshgate.dialects.openai_choices.logprobs import logprobs_in

# Of these a request has no text, or none that a model is told: words of the API, numbers, names of
# the application's own.
_NOT_SAID = frozenset(
    {"model", "tools", "functions", "tool_choice", "function_call", "response_format", "stop"}
    | {"stream", "stream_options", "user", "safety_identifier", "prompt_cache_key", "metadata"}
    | {"modalities", "audio", "reasoning_effort", "verbosity", "service_tier", "logit_bias"}
)
_NOT_SAID_IN_PARTS = frozenset(
    {"type", "image_url", "input_audio", "audio_url", "video_url", "file", "cache_control"}
)
_NOT_SAID_IN_THOUGHTS = frozenset({"type", "id", "index", "format", "signature", "data"})
_NOT_SAID_IN_CHOICES = frozenset(
    {"index", "finish_reason", "logprobs", "stop_reason", "native_finish_reason"}
    | {"content_filter_results", "token_ids"}
)
_KEPT_OF_BLOCKED = frozenset(
    {"id", "object", "created", "model", "usage", "system_fingerprint", "service_tier"}
)

_REQUEST = msgspec.json.Decoder(dict[str, object])
_COMPLETION = msgspec.json.Decoder(dict[str, Raw])
_CHOICES = msgspec.json.Decoder(list[dict[str, Raw]])
_NOTHING_SAID = {"role": "assistant", "content": "", "refusal": None}


def cut_request(body: bytes) -> JsonCut:
    """Take the texts out of a request.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    readers = {"messages": _messages, "prediction": _prediction}
    return JsonCut(body, in_members(decode(_REQUEST, body), (), _NOT_SAID, readers))


def cut_answer(body: bytes) -> JsonCut:
    """Take the texts out of a plain answer.

    Raises:
        MalformedAnswerError: It is not a chat completion.
    """
    try:
        choices = _REQUEST.decode(body)["choices"]
    except (*UNREADABLE, KeyError) as error:
        raise MalformedAnswerError("the answer is not a chat completion") from error
    found = in_items(choices, ("choices",), _choice)
    return _AnswerCut(body, found, logprobs_in(choices), list(_proofs_in(choices)))


class _AnswerCut(JsonCut):
    """An answer, whose thoughts lose their proofs where they are not shown as they were."""

    def __init__(
        self, body: bytes, found: Iterator[Found], betraying: list[Path], proofs: list[Path]
    ) -> None:
        super().__init__(body, found, betraying)
        self._proofs = proofs

    def masked(self, texts: Mapping[str, str]) -> bytes:
        body = super().masked(texts)
        if any("reasoning" in where for where in texts):
            return replaced(body, dict.fromkeys(self._proofs, b"null"))
        return body


def _proofs_in(choices: object) -> Iterator[Path]:
    for at, choice in enumerate(choices if isinstance(choices, list) else ()):
        yield from proofs_in(choice, ("choices", at), "message")


def proofs_in(choice: object, path: Path, said: str) -> Iterator[Path]:
    """Where the thoughts of a choice are proven, which stand in the member `said`."""
    message = choice.get(said) if isinstance(choice, dict) else None
    details = message.get("reasoning_details") if isinstance(message, dict) else None
    for number, detail in enumerate(details if isinstance(details, list) else ()):
        if isinstance(detail, dict) and detail.get("signature"):
            yield (*path, said, "reasoning_details", number, "signature")


def blocked_answer(body: bytes) -> bytes:
    """Write a plain answer of which nothing may be shown but what it cost.

    Raises:
        MalformedAnswerError: It is not a chat completion.
    """
    try:
        members = _COMPLETION.decode(body)
        choices = _CHOICES.decode(members["choices"])
    except (*UNREADABLE, KeyError) as error:
        raise MalformedAnswerError("the answer is not a chat completion") from error
    kept = {name: value for name, value in members.items() if name in _KEPT_OF_BLOCKED}
    blocked = [
        {
            "index": choice.get("index", at),
            "message": _NOTHING_SAID,
            "logprobs": None,
            "finish_reason": "content_filter",
        }
        for at, choice in enumerate(choices)
    ]
    return msgspec.json.encode({**kept, "choices": blocked})


def in_choice(choice: object, path: Path, said: str) -> Iterator[Found]:
    """The texts of a choice, whose own are in the member `said`."""
    return in_members(choice, path, _NOT_SAID_IN_CHOICES, {said: in_message})


def in_message(message: object, path: Path) -> Iterator[Found]:
    """The texts of a message, or of a piece of one."""
    return in_members(message, path, _NOT_SAID_IN_MESSAGES, _IN_MESSAGES)


def _messages(messages: object, path: Path) -> Iterator[Found]:
    return in_items(messages, path, in_message)


def _prediction(prediction: object, path: Path) -> Iterator[Found]:
    return in_members(prediction, path, {"type"}, {"content": _content})


def _choice(choice: object, path: Path) -> Iterator[Found]:
    return in_choice(choice, path, "message")


def _content(content: object, path: Path) -> Iterator[Found]:
    return in_items(content, path, _part)


def _part(part: object, path: Path) -> Iterator[Found]:
    return in_members(part, path, _NOT_SAID_IN_PARTS, {})


def _calls(calls: object, path: Path) -> Iterator[Found]:
    return in_items(calls, path, _call)


def _call(call: object, path: Path) -> Iterator[Found]:
    readers = {"function": _function, "custom": _function, "extra_content": _extra}
    return in_members(call, path, {"id", "type", "index"}, readers)


def _extra(extra: object, path: Path) -> Iterator[Found]:
    return in_members(extra, path, (), {"google": _google})


def _google(extra: object, path: Path) -> Iterator[Found]:
    return in_members(extra, path, {"thought_signature"}, {})


def _details(details: object, path: Path) -> Iterator[Found]:
    return in_items(details, path, _detail)


def _detail(detail: object, path: Path) -> Iterator[Found]:
    return in_members(detail, path, _NOT_SAID_IN_THOUGHTS, {})


def _function(function: object, path: Path) -> Iterator[Found]:
    return in_members(function, path, {"name"}, {"arguments": in_json, "input": in_value})


def _audio(audio: object, path: Path) -> Iterator[Found]:
    return in_members(audio, path, {"id", "data", "expires_at"}, {})


_NOT_SAID_IN_MESSAGES = frozenset({"role", "tool_call_id"})
_IN_MESSAGES = {
    "content": _content,
    "tool_calls": _calls,
    "function_call": _function,
    "audio": _audio,
    "reasoning_details": _details,
}
