"""countTokens on its way to an upstream that can count, and an answer of our own.

A request to count says the contents, or all of a request. It costs nothing: its answer has no usage but
a request.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import UNREADABLE, AnswerGlance, RequestHead
from meshgate.dialects.counting import CountableText
from meshgate.dialects.gemini_generate import texts
from meshgate.dialects.gemini_generate.answers import decoded
from meshgate.dialects.gemini_generate.member_names import in_camel_case
from meshgate.dialects.gemini_generate.read_request import PREFIX
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_api.request_body import decode, missing

_WHOLE = "generateContentRequest"


class _Head(Struct, gc=False):
    model: str


class _Answer(Struct, rename="camel", gc=False):
    total_tokens: int


_HEAD = msgspec.json.Decoder(_Head)
_ANSWER = msgspec.json.Decoder(_Answer)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    name = decode(_HEAD, body).model.removeprefix(PREFIX)
    if not name:
        raise missing("model")
    return RequestHead(name, max_output_tokens=0, is_free=True)


def retarget(body: bytes, model: str) -> bytes:
    """Take the model's name out of a body, and name another in the request that it may hold.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    members = decode(_MEMBERS, body)
    members.pop("model", None)
    name = Raw(msgspec.json.encode(f"{PREFIX}{model.removeprefix(PREFIX)}"))
    for spelled, value in list(members.items()):
        if in_camel_case(spelled) == _WHOLE:
            inner = decode(_MEMBERS, bytes(value))
            members[spelled] = Raw(msgspec.json.encode(inner | {"model": name}))
    return msgspec.json.encode(members)


def glance(body: bytes) -> AnswerGlance:
    """Look at an answer.

    Raises:
        MalformedAnswerError: It tells no number.
    """
    decoded(body, _ANSWER)
    return AnswerGlance("", Usage(), FinishReason.UNSPECIFIED)


def countable_text(body: bytes) -> CountableText:
    """What is to be counted."""
    try:
        members = _MEMBERS.decode(body)
    except UNREADABLE:
        return texts.countable_text(body)
    for name, value in members.items():
        if in_camel_case(name) == _WHOLE:
            return texts.countable_text(bytes(value))
    return texts.countable_text(body)


def answer_texts(body: bytes) -> list[str]:
    """Nothing: a number is no output that is counted."""
    del body
    return []


def write_answer(tokens: int) -> bytes:
    """The answer to a request to count."""
    return msgspec.json.encode({"totalTokens": tokens})
