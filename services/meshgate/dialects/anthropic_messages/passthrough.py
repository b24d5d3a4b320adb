"""Messages on their way through, where caller and upstream both speak this dialect.

Bytes are passed on as they are; only what the gateway must know or change is looked at.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import signatures, sse
from meshgate.dialects.answers import (
    UNREADABLE,
    AnswerGlance,
    MalformedAnswerError,
    decoded,
)
from meshgate.dialects.anthropic_messages import events, signing, stop_reason, tool_round
from meshgate.dialects.anthropic_messages.errors import find_error
from meshgate.dialects.anthropic_messages.usage import UsageCount
from meshgate.dialects.anthropic_messages.usage import read as read_usage
from meshgate.dialects.openai_api.model_name import name_model
from meshgate.dialects.openai_api.output_bound import lower_bounds
from meshgate.dialects.openai_api.request_body import decode
from meshgate.dialects.output_cap import lower
from meshgate.dialects.upstream_stream import PassedStream

_LEAST_BUDGET = 1_024


class _Answer(Struct, gc=False):
    content: list[Raw]
    model: str | None = None
    stop_reason: str | None = None
    usage: Raw = Raw()


class _Opening(Struct, gc=False):
    model: str | None = None
    usage: Raw = Raw()


class _Delta(Struct, gc=False):
    stop_reason: str | None = None


class _Event(Struct, gc=False):
    type: str
    message: _Opening | None = None
    delta: _Delta | None = None
    usage: Raw = Raw()


class _Kind(Struct, gc=False):
    type: str


class _Thinking(Struct, gc=False):
    budget_tokens: int | None = None


class _Signed(Struct, gc=False):
    type: str | None = None
    signature: str | None = None
    data: str | None = None


_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_ANSWER = msgspec.json.Decoder(_Answer)
_EVENT = msgspec.json.Decoder(_Event)
_KIND = msgspec.json.Decoder(_Kind)
_NUMBER = msgspec.json.Decoder(int)
_THINKING = msgspec.json.Decoder(_Thinking)
_SIGNED = msgspec.json.Decoder(_Signed)
_ENCODER = msgspec.json.Encoder()
_SEAL = signing.SEAL.encode()
# What only adds to an answer that goes on.
_ORDINARY = frozenset({"content_block_start", "content_block_delta", "content_block_stop", "ping"})


def retarget(body: bytes, model: str, output_cap: int | None = None) -> bytes:
    """Replace the model's name in a body whose head was read.

    Where there is an `output_cap`, in tokens, no more is asked for, and no more thought is. Thoughts
    of other upstreams, which the caller got from the gateway in earlier answers, are left out, and
    Anthropic's own get the signature back that it has written. A round of tools that began with one
    left out is finished without thinking: see `tool_round`. All else keeps its bytes and its order.

    Raises:
        InvalidRequestError: The body is not a JSON object.
    """
    members = decode(_MEMBERS, body)
    name_model(members, model)
    if output_cap is not None:
        _cap(members, output_cap)
    if _SEAL in body and "messages" in members:
        members["messages"] = _unsealed(members["messages"])
        if "thinking" in members and _has_lost_thought(members):
            del members["thinking"]
    return _ENCODER.encode(members)


def _has_lost_thought(members: dict[str, Raw]) -> bool:
    """Whether thinking by a budget would be refused, as the thought was another upstream's."""
    try:
        if _KIND.decode(members["thinking"]).type != "enabled":
            return False
        return tool_round.lacks_thought(msgspec.json.decode(members["messages"]))
    except (*UNREADABLE, LookupError, TypeError):
        return False  # the upstream says what is wrong with it


def _cap(members: dict[str, Raw], output_cap: int) -> None:
    try:
        asked: int | None = _NUMBER.decode(members["max_tokens"])
    except (KeyError, msgspec.DecodeError):
        asked = None
    most = lower(asked, output_cap)
    lower_bounds(members, output_cap)  # whatever the spelling
    if most == asked:
        return
    members["max_tokens"] = Raw(_ENCODER.encode(most))
    if "thinking" in members:
        members["thinking"] = _with_budget(members["thinking"], most)


def _with_budget(thinking: Raw, most: int) -> Raw:
    """Thinking for so many tokens in all; what cannot be made to fit the upstream refuses."""
    try:
        budget = _THINKING.decode(thinking).budget_tokens
        members = _MEMBERS.decode(thinking)
    except msgspec.DecodeError:
        return thinking
    if budget is None or budget < most:
        return thinking
    members["budget_tokens"] = Raw(_ENCODER.encode(max(_LEAST_BUDGET, most - 1)))
    return Raw(_ENCODER.encode(members))


def _unsealed(messages: Raw) -> Raw:
    try:
        kept = [it for message in _ITEMS.decode(messages) if (it := _unsealed_message(message))]
    except UNREADABLE:
        return messages  # the upstream says what is wrong with it
    return Raw(_ENCODER.encode(kept))


def _unsealed_message(message: Raw) -> Raw | None:
    """A message without what only others can read; None if nothing is left of it."""
    if _SEAL not in bytes(message):
        return message
    members = _MEMBERS.decode(message)
    content = members.get("content", Raw())
    if not bytes(content).startswith(b"["):
        return message
    blocks = [it for block in _ITEMS.decode(content) if (it := _unsealed_block(block)) is not None]
    members["content"] = Raw(_ENCODER.encode(blocks))
    return Raw(_ENCODER.encode(members)) if blocks else None


def _unsealed_block(block: Raw) -> Raw | None:
    if _SEAL not in bytes(block):
        return block
    signed = _SIGNED.decode(block)
    name = {"thinking": "signature", "redacted_thinking": "data"}.get(signed.type or "")
    sealed = (name and getattr(signed, name)) or ""
    if not name or not sealed.startswith(signing.SEAL):
        return block
    found = signatures.unseal(sealed)
    if not found.content or found.origin != signing.DIALECT:
        return None
    members = _MEMBERS.decode(block)
    members[name] = Raw(_ENCODER.encode(found.content.decode(errors="replace")))
    return Raw(_ENCODER.encode(members))


def glance(body: bytes) -> AnswerGlance:
    """Look at a plain answer.

    Raises:
        MalformedAnswerError: It is not a message.
    """
    try:
        if not body.isascii():
            body.decode()  # the decoder does not look into what it skips
        answer = _ANSWER.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer is not a message") from error
    usage = read_usage(answer.usage)
    return AnswerGlance(answer.model or "", usage, stop_reason.read(answer.stop_reason))


class StreamTracker(PassedStream):
    """Follows streamed messages through the gateway; events that are not known pass, too."""

    def __init__(self) -> None:
        super().__init__()
        self._count = UsageCount()
        self._is_told = False

    def _take(self, event: sse.Event, told: list[bytes]) -> None:
        self.error = find_error(event)
        if self.error is not None:
            return
        found = decoded(_EVENT, event.data, "an event of the upstream's stream is none of its API")
        if self._is_for_caller(found):
            # By the name alone clients know an event: some servers leave it out.
            named = event if event.name else sse.Event(event.data, found.type.encode())
            told.append(sse.write(named))

    def _is_whole(self) -> bool:
        return self._is_told

    def _end(self, told: list[bytes]) -> None:
        self._finish()
        told.append(events.MESSAGE_STOP)

    def _finish(self) -> None:
        self.done = True
        self.usage = self._count.whole

    def _is_for_caller(self, found: _Event) -> bool:
        """Note what an event tells; the end of an answer that has none is not for the caller."""
        if found.type == "message_start" and found.message is not None:
            self.started = True
            self.served_model = self.served_model or found.message.model or ""
            self._count.take(found.message.usage, is_end=False)
            self.usage = self._count.usage
        elif found.type == "message_delta":
            self._count.take(found.usage, is_end=True)
            self.usage = self._count.usage
            if found.delta is not None and found.delta.stop_reason:
                self._is_told = self.started
                self.finish_reason = stop_reason.read(found.delta.stop_reason)
        elif found.type == "message_stop":
            if self._is_told:
                self._finish()
            return self._is_told
        return True

    def _is_ordinary(self, data: bytes) -> bool:
        if not (data.startswith(b"event: ") and data.endswith(b"}\n\n")) or b"\r" in data:
            return False
        try:
            if not data.isascii():
                data.decode()
            return all(_goes_on(block) for block in data[:-2].split(b"\n\n"))
        except UNREADABLE:
            return False


def _goes_on(block: bytes) -> bool:
    name, _, line = block.partition(b"\n")
    return (
        name.startswith(b"event: ")
        and line.startswith(b"data: {")
        and b"\n" not in line
        and _KIND.decode(line[6:]).type in _ORDINARY
    )
