"""Reads completion requests: only the head, or all of it into the neutral form."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.neutral import ChatRequest, Message, Role, Text
from meshgate.dialects.openai_api import service_tier
from meshgate.dialects.openai_api.request_body import decode, missing, unsupported
from meshgate.dialects.openai_completions.fields import EXPRESSED, INEXPRESSIBLE
from meshgate.dialects.openai_completions.prompt import Prompt, prompts

_ModelName = Annotated[str, Meta(max_length=512)]
# Servers of all kinds take zero and less for "as much as you like".
_OutputBound = Annotated[int, Meta(le=2**31 - 1)]
_Choices = Annotated[int, Meta(ge=1, le=128)]


class _StreamOptions(Struct, gc=False):
    include_usage: bool | None = None


class _Head(Struct, gc=False):
    model: _ModelName
    prompt: Prompt = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _OutputBound | None = None
    n: _Choices | None = None
    service_tier: object = None
    best_of: _Choices | None = None


class _Request(_Head):
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None


_HEAD = msgspec.json.Decoder(_Head)
_REQUEST = msgspec.json.Decoder(_Request)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs; the rest is only checked to be JSON.

    Raises:
        InvalidRequestError: The body is malformed, or what was read is not as it must be.
    """
    return _head_of(decode(_HEAD, body))


def read(body: bytes) -> ChatRequest:
    """Read all of a request: its prompt is what the user says.

    Raises:
        InvalidRequestError: The body is malformed.
        UnsupportedError: The neutral form cannot express a field.
    """
    members = decode(_MEMBERS, body)
    for name, harmless in INEXPRESSIBLE.items():
        asked = bytes(members.pop(name, Raw(b"null"))).translate(None, b" \t\r\n")
        if asked != b"null" and asked not in harmless:
            raise unsupported(name)
    request = decode(_REQUEST, body)
    head = _head_of(request)
    extra = {name: value for name, value in members.items() if name not in EXPRESSED}
    stop = request.stop
    return ChatRequest(
        model=head.model,
        messages=(Message(role=Role.USER, parts=(Text(_only_text(request.prompt)),)),),
        max_output_tokens=head.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        stop_sequences=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        seed=request.seed,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        extra_json=msgspec.json.encode(extra) if extra else b"",
    )


def _head_of(head: _Head) -> RequestHead:
    if not head.model:
        raise missing("model")
    bound = head.max_tokens
    options = head.stream_options
    # `best_of` answers are written, and billed, for each prompt; the best `n` of them are sent.
    written = max(head.n or 1, head.best_of or 1) * len(prompts(head.prompt))
    return RequestHead(
        head.model,
        stream=head.stream is True,
        include_usage=options is not None and options.include_usage is True,
        max_output_tokens=bound if bound is not None and bound > 0 else None,
        choices=written,
        service_tier=service_tier.read(head.service_tier),
    )


def _only_text(prompt: Prompt) -> str:
    """The prompt, where it is a single text."""
    match prompts(prompt):
        case (str() as text,):
            return text
    raise unsupported("prompt")
