"""Responses on their way through, where caller and upstream both speak this dialect.

Bytes are passed on as they are; only what the gateway must know or change is looked at. That is the
name of the model, the bound on the output, and what follows from nothing being stored:

- A request that does not say `store` gets `false`, as the gateway's other replicas and targets would
  not know of a stored response (OpenAI's default is true, and its SDK says nothing by default). If it
  asks for thoughts, these are asked for in the form that can be sent back, as they would otherwise be
  lost with what was not stored.
- Thoughts that the gateway has sealed, since an upstream of another dialect made them, are left out;
  OpenAI's own among them are opened.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import AnswerGlance, MalformedAnswerError, RequestHead
from meshgate.dialects.openai_api.model_name import name_model
from meshgate.dialects.openai_api.output_bound import lower_bounds
from meshgate.dialects.openai_api.request_body import decode
from meshgate.dialects.openai_responses import stateless, status, thought, wire
from meshgate.dialects.openai_responses import usage as usage_object
from meshgate.dialects.openai_responses.stream_tracker import StreamTracker
from meshgate.dialects.openai_responses.write_request import BOUND, ENCRYPTED
from meshgate.dialects.output_cap import lower

__all__ = ["StreamTracker", "glance", "retarget"]


class _Typed(Struct, gc=False):
    type: str = ""


class _Response(Struct):
    output: list[_Typed]
    model: str | None = None
    status: str | None = None
    incomplete_details: wire.IncompleteDetails | None = None
    usage: Raw = Raw()
    service_tier: object = None


_RESPONSE = msgspec.json.Decoder(_Response)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_ITEM = msgspec.json.Decoder(_Typed)
_WORDS = msgspec.json.Decoder(list[str])
_STRING = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()
_NULL = b"null"
_SEALED = b'"mg1.'
_FALSE = Raw(b"false")


def retarget(body: bytes, model: str, head: RequestHead, output_cap: int | None = None) -> bytes:
    """Send a body that `head` was read from to another model.

    Where there is an `output_cap`, in tokens, no more is asked for. All members that are not changed
    keep their bytes and their order.

    Raises:
        InvalidRequestError: The body is not a JSON object.
        UnsupportedError: It needs a response that was kept, or wants one to be.
    """
    members = decode(_MEMBERS, body)
    stateless.check(members)
    if b"item_reference" in body:
        _check_references(members["input"])
    name_model(members, model)
    if bytes(members.get("store", Raw(_NULL))) == _NULL:
        members["store"] = _FALSE
        _ask_for_thoughts(members)
    if _SEALED in body:
        members["input"] = _opened(members["input"])
    if output_cap is not None:
        lower_bounds(members, output_cap)
        members[BOUND] = Raw(str(lower(head.max_output_tokens, output_cap)).encode())
    return _ENCODER.encode(members)


def glance(body: bytes) -> AnswerGlance:
    """Look at a plain answer.

    Raises:
        MalformedAnswerError: It is not a response, or one that failed.
    """
    response = wire.decoded(_RESPONSE, body)
    if response.status in ("failed", "cancelled"):
        raise MalformedAnswerError("the upstream's answer is not a response that was given")
    details = response.incomplete_details
    return AnswerGlance(
        response.model or "",
        usage_object.read(response.usage, response.service_tier),
        status.read(
            response.status,
            details.reason if details else None,
            [item.type for item in response.output],
        ),
    )


def _check_references(items: Raw) -> None:
    if not bytes(items).startswith(b"["):
        return
    references: list[Raw] = decode(_ITEMS, bytes(items))
    for at, item in enumerate(references):
        if bytes(item).startswith(b"{") and decode(_ITEM, bytes(item)).type == "item_reference":
            raise stateless.not_kept(f"input[{at}].type")


def _ask_for_thoughts(members: dict[str, Raw]) -> None:
    """Ask for thoughts that can be sent back; only models that think can be asked for them."""
    if not bytes(members.get("reasoning", Raw(_NULL))).startswith(b"{"):
        return
    asked = members.get("include", Raw(_NULL))
    include = decode(_WORDS, bytes(asked)) if bytes(asked) != _NULL else []
    if ENCRYPTED not in include:
        members["include"] = Raw(_ENCODER.encode([*include, ENCRYPTED]))


def _opened(items: Raw) -> Raw:
    """The input with what was sealed opened, or left out if it is not OpenAI's."""
    if not bytes(items).startswith(b"["):
        return items
    sealed: list[Raw] = decode(_ITEMS, bytes(items))
    opened = map(_opened_item, sealed)
    return Raw(_ENCODER.encode([item for item in opened if item is not None]))


def _opened_item(item: Raw) -> Raw | None:
    if _SEALED not in bytes(item) or not bytes(item).startswith(b"{"):
        return item
    members = decode(_MEMBERS, bytes(item))
    content = bytes(members.get("encrypted_content", Raw(_NULL)))
    if not content.startswith(_SEALED):
        return item
    own = thought.own_content(decode(_STRING, content))
    if own is None:
        return None
    members["encrypted_content"] = Raw(_ENCODER.encode(own))
    return Raw(_ENCODER.encode(members))
