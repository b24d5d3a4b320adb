"""What other upstreams have thought and called in a conversation that goes on with Gemini.

A caller got their thoughts from the gateway in earlier answers, sealed, and Gemini cannot read them. A
thought is left out, of other parts the signature. Where a turn's first call is left without one, it says
that Gemini has not made it. All other parts keep their bytes.

Models of the third generation and later refuse a step of the current turn whose first call is not
signed, as it is where its upstream signs nothing. It is told that Gemini has not made it, too:
https://ai.google.dev/gemini-api/docs/thought-signatures (its FAQ, on traces from other models).
"""

import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw

from meshgate.dialects import signatures
from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.gemini_generate import signed_thoughts
from meshgate.dialects.gemini_generate.member_names import in_camel_case

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()
# The gateway's mark within base64, as far as it is the same whatever comes after it.
_SEALED = b'"bWcxL'
_DEMANDING = re.compile(r"(?:.*/)?gemini-(?:[3-9]|[1-9]\d)(?:[.-]|$)")
_CALLS = (b'"functionCall"', b'"function_call"')
_NONE = Raw(b"[]")
_EMPTY = (b'""', b"null")


def may_be_in(body: bytes) -> bool:
    """Whether it is worth looking closer."""
    return _SEALED in body


def left_out(contents: Raw) -> Raw:
    """The contents without them; as they are where they cannot be understood."""
    try:
        kept = [it for content in _ITEMS.decode(contents) if (it := _content(content)) is not None]
    except UNREADABLE:
        return contents  # the upstream says what is wrong with it
    return Raw(_ENCODER.encode(kept))


def may_lack_signatures(body: bytes, model: str) -> bool:
    """Whether a model may refuse a conversation for a call that is not signed."""
    return any(name in body for name in _CALLS) and _DEMANDING.match(model) is not None


def signed(contents: Raw) -> Raw:
    """The contents with each step's first call of the current turn signed, or said to be another's."""
    try:
        items = _ITEMS.decode(contents)
        is_changed = [_sign(items, step) for step in _steps(items)]
    except UNREADABLE:
        return contents
    return Raw(_ENCODER.encode(items)) if any(is_changed) else contents


def _steps(items: list[Raw]) -> Iterator[list[int]]:
    """Where the model's contents stand that follow each other since its user last spoke, step by step."""
    step: list[int] = []
    for at in reversed(range(len(items))):
        members = _MEMBERS.decode(items[at])
        if bytes(members.get("role", Raw())) == b'"model"':
            step.insert(0, at)
            continue
        yield step
        step = []
        if not any(_names("functionResponse", part) for part in _parts_of(members)):
            return
    yield step


def _sign(items: list[Raw], step: list[int]) -> bool:
    """Sign the first call of a step in its place; whether it was not."""
    for at in step:
        members = _MEMBERS.decode(items[at])
        parts = _parts_of(members)
        if not any(_names("functionCall", part) for part in parts):
            continue
        marked = _marked(list(parts))
        members["parts"] = Raw(_ENCODER.encode(marked))
        items[at] = Raw(_ENCODER.encode(members))
        return marked != parts
    return False


def _parts_of(members: dict[str, Raw]) -> list[Raw]:
    return _ITEMS.decode(members.get("parts", _NONE))


def _names(name: str, part: Raw) -> bool:
    return name in map(in_camel_case, _MEMBERS.decode(part))


def _content(content: Raw) -> Raw | None:
    """A turn; None if nothing is left of it."""
    if _SEALED not in bytes(content):
        return content
    members = _MEMBERS.decode(content)
    parts = [it for part in _parts_of(members) if (it := _part(part)) is not None]
    members["parts"] = Raw(_ENCODER.encode(_marked(parts)))
    return Raw(_ENCODER.encode(members)) if parts else None


def _part(part: Raw) -> Raw | None:
    """A part without a foreign signature; None where it is a thought, or nothing else."""
    if _SEALED not in bytes(part):
        return part
    members = _MEMBERS.decode(part)
    names = {in_camel_case(name): name for name in members}
    own_name = names.get("thoughtSignature")
    if own_name is None or not _is_foreign(members[own_name]):
        return part
    if bytes(members.get("thought", Raw())) == b"true":
        return None
    del members[own_name]
    says_nothing = all(name == "text" and bytes(it) in _EMPTY for name, it in members.items())
    return None if says_nothing else Raw(_ENCODER.encode(members))


def _is_foreign(signature: Raw) -> bool:
    thought = signed_thoughts.read(_TEXT.decode(signature))
    return thought is not None and not signatures.is_for(thought.origin, signed_thoughts.DIALECT)


def _marked(parts: list[Raw]) -> list[Raw]:
    """The parts with the first call signed, or said to be another's."""
    for at, part in enumerate(parts):
        members = _MEMBERS.decode(part)
        names = {in_camel_case(name) for name in members}
        if "functionCall" in names:
            if "thoughtSignature" not in names:
                members["thoughtSignature"] = Raw(_ENCODER.encode(signed_thoughts.UNSIGNED))
                parts[at] = Raw(_ENCODER.encode(members))
            break
    return parts
