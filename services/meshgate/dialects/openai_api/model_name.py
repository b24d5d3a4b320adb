"""Sending a body to another model without touching the rest of it."""

import msgspec
from msgspec import Raw

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.openai_api.output_bound import OutputBound, write_cap
from meshgate.dialects.openai_api.request_body import decode

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()
_MODEL = "model"
_TRUE = Raw(b"true")
_USAGE_WANTED = Raw(b'{"include_usage":true}')


def retarget(
    body: bytes,
    model: str,
    head: RequestHead,
    output_cap: int | None = None,
    bound: OutputBound = OutputBound.MAX_TOKENS,
) -> bytes:
    """Replace the model's name in a body that `head` was read from, and ask streams for usage.

    Where there is an `output_cap`, in tokens, no more is asked for: in the members that the caller
    used for it, or else in `bound`.

    All other members keep their bytes and their order. Measured, this is faster than a search for
    the name, and unlike a splice it leaves no second `"model"`, plain or written with escapes, by
    which a caller could reach a model of its own choice. Neither does it leave a `"Model"` of another
    one: servers written in Go read names without regard to case.

    Raises:
        InvalidRequestError: The body is not a JSON object.
    """
    members = retargeted(body, model, head)
    if output_cap is not None:
        write_cap(members, output_cap, bound)
    return _ENCODER.encode(members)


def retargeted(body: bytes, model: str, head: RequestHead) -> dict[str, Raw]:
    """The members of a body with the model's name replaced, and streams asked for usage.

    Raises:
        InvalidRequestError: The body is not a JSON object.
    """
    members = decode(_MEMBERS, body)
    name_model(members, model)
    if head.stream and not head.include_usage:
        members["stream_options"] = _with_usage(members.get("stream_options"))
    return members


def name_model(members: dict[str, Raw], model: str) -> None:
    """Name another model, in every spelling of the member that some server may read."""
    named = Raw(_ENCODER.encode(model))
    for name in members:
        if name.casefold() == _MODEL:
            members[name] = named
    members[_MODEL] = named


def _with_usage(options: Raw | None) -> Raw:
    if options is None or bytes(options) == b"null":
        return _USAGE_WANTED
    members = _MEMBERS.decode(options)
    members["include_usage"] = _TRUE
    return Raw(_ENCODER.encode(members))
