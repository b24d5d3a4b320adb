"""Chat completions on their way through, where caller and upstream both speak this dialect.

Bytes are passed on as they are; only what the gateway must know or change is looked at.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import UNREADABLE, AnswerGlance, RequestHead
from meshgate.dialects.openai_api.model_name import retargeted
from meshgate.dialects.openai_api.output_bound import write_cap
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.openai_chat import wording
from meshgate.dialects.openai_chat.call_numbers import StreamTracker
from meshgate.dialects.openai_chat.variant import Variant
from meshgate.dialects.openai_choices import plain_answer
from meshgate.dialects.openai_choices.plain_answer import Choice, PlainAnswer

__all__ = ["StreamTracker", "glance", "retarget"]


class _Message(Struct, gc=False):
    pass


class _Choice(Choice, kw_only=True, gc=False):
    message: _Message


_UNKNOWN = Variant()
_COMPLETION = msgspec.json.Decoder(PlainAnswer[_Choice])
_ENCODER = msgspec.json.Encoder()
_MESSAGES = msgspec.json.Decoder(list[Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, Any])
_SEALED = b'"mg1.'


def retarget(
    body: bytes,
    model: str,
    head: RequestHead,
    output_cap: int | None = None,
    variant: Variant = _UNKNOWN,
) -> bytes:
    """Replace the model's name in a body that `head` was read from, and ask streams for usage.

    Where there is an `output_cap`, in tokens, no more is asked for. What the variant names in
    another way is renamed; what it does not take is left for it to refuse. Proofs of thoughts that
    an upstream of another dialect made are taken out, as this one cannot read them: only bodies that
    hold the mark of one are looked through for them.

    All other members keep their bytes and their order.

    Raises:
        InvalidRequestError: The body is not a JSON object.
        UnsupportedError: It names other models.
    """
    members = retargeted(body, model, head)
    for name in members.keys() & variant.steering:
        raise unsupported(name)
    if output_cap is not None:
        write_cap(members, output_cap, variant.output_bound)
    if _SEALED in body and "messages" in members:
        members["messages"] = _without_foreign_proofs(members["messages"])
    return _ENCODER.encode(wording.reworded(members, variant))


def _without_foreign_proofs(messages: Raw) -> Raw:
    try:
        found = _MESSAGES.decode(messages)
        kept = [_without_foreign(it) if _SEALED in bytes(it) else it for it in found]
    except UNREADABLE:
        return messages  # for the upstream to refuse
    return Raw(_ENCODER.encode(kept))


def _without_foreign(message: Raw) -> Raw:
    members = _MEMBERS.decode(message)
    members.pop("reasoning_details", None)
    for call in members.get("tool_calls") or ():
        if isinstance(call, dict):
            call.pop("extra_content", None)
    return Raw(_ENCODER.encode(members))


def glance(body: bytes) -> AnswerGlance:
    """Look at a plain answer.

    Raises:
        MalformedAnswerError: It is not a chat completion.
    """
    return plain_answer.glance(body, _COMPLETION, "chat completion")
