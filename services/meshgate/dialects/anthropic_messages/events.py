"""The events of a streamed answer, as they are written."""

import msgspec

from meshgate.dialects import sse

_ENCODER = msgspec.json.Encoder()

MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def write(kind: str, **members: object) -> bytes:
    """An event of a kind, which is its name as well."""
    data = _ENCODER.encode({"type": kind, **members})
    return sse.write(sse.Event(data, kind.encode()))


def message_start(answer_id: str, served_model: str, usage: dict[str, object]) -> bytes:
    """The event that begins an answer."""
    message: dict[str, object] = {
        "id": answer_id,
        "type": "message",
        "role": "assistant",
        "model": served_model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    return write("message_start", message=message)


def block_start(index: int, block: dict[str, object]) -> bytes:
    """The event that begins a block."""
    return write("content_block_start", index=index, content_block=block)


def block_delta(index: int, delta: dict[str, object]) -> bytes:
    """An event that adds to a block."""
    return write("content_block_delta", index=index, delta=delta)


def block_stop(index: int) -> bytes:
    """The event that ends a block."""
    return write("content_block_stop", index=index)


def message_delta(stop_reason: str, stop_sequence: str, usage: dict[str, object]) -> bytes:
    """The event that says why the answer ended, and what it consumed."""
    delta = {"stop_reason": stop_reason, "stop_sequence": stop_sequence or None}
    return write("message_delta", delta=delta, usage=usage)
