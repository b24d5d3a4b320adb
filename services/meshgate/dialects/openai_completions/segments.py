"""The texts of completion requests and answers.

Prompts that are cut into tokens already are not looked at. Everything that the API does not know is.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.json_text import Found, JsonCut, Path, in_items, in_members, in_value
from meshgate.dialects.openai_api.request_body import decode
from meshgate.dialects.openai_choices.logprobs import logprobs_in

# As with chat completions: no text, or none that a model is told.
_NOT_SAID = frozenset(
    {"model", "stop", "stream", "stream_options", "user", "metadata", "safety_identifier"}
    | {"prompt_cache_key", "service_tier", "logit_bias", "response_format"}
)
_NOT_SAID_IN_CHOICES = frozenset(
    {"index", "finish_reason", "logprobs", "stop_reason", "native_finish_reason"}
    | {"content_filter_results", "token_ids", "prompt_token_ids"}
)
_KEPT_OF_BLOCKED = frozenset({"id", "object", "created", "model", "usage", "system_fingerprint"})

_MEMBERS = msgspec.json.Decoder(dict[str, object])
_COMPLETION = msgspec.json.Decoder(dict[str, Raw])
_CHOICES = msgspec.json.Decoder(list[dict[str, Raw]])


def cut_request(body: bytes) -> JsonCut:
    """Take the texts out of a request.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    members = decode(_MEMBERS, body)
    return JsonCut(body, in_members(members, (), _NOT_SAID, {"prompt": _prompts}))


def cut_answer(body: bytes) -> JsonCut:
    """Take the texts out of a plain answer.

    Raises:
        MalformedAnswerError: It is not a completion.
    """
    try:
        choices = _MEMBERS.decode(body)["choices"]
    except (*UNREADABLE, KeyError) as error:
        raise _no_completion() from error
    return JsonCut(body, in_items(choices, ("choices",), in_choice), logprobs_in(choices))


def blocked_answer(body: bytes) -> bytes:
    """Write a plain answer of which nothing may be shown but what it cost.

    Raises:
        MalformedAnswerError: It is not a completion.
    """
    try:
        members = _COMPLETION.decode(body)
        choices = _CHOICES.decode(members["choices"])
    except (*UNREADABLE, KeyError) as error:
        raise _no_completion() from error
    kept = {name: value for name, value in members.items() if name in _KEPT_OF_BLOCKED}
    blocked = [
        {
            "index": choice.get("index", at),
            "text": "",
            "logprobs": None,
            "finish_reason": "content_filter",
        }
        for at, choice in enumerate(choices)
    ]
    return msgspec.json.encode({**kept, "choices": blocked})


def in_choice(choice: object, path: Path) -> Iterator[Found]:
    """The texts of a choice, or of a piece of one."""
    return in_members(choice, path, _NOT_SAID_IN_CHOICES, {})


def _prompts(prompt: object, path: Path) -> Iterator[Found]:
    return in_items(prompt, path, in_value)


def _no_completion() -> MalformedAnswerError:
    return MalformedAnswerError("the answer is not a completion")
