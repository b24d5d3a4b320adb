"""The chunks of a streamed chat completion, as they are written."""

from meshgate.dialects.openai_choices.chunks import ChunkForm, Identity

FORM = ChunkForm(
    object_name="chat.completion.chunk",
    opening={"delta": {"role": "assistant", "content": ""}},
    closing={"delta": {}},
)


def write_delta(identity: Identity, delta: dict[str, object], index: int = 0) -> bytes:
    """Write a chunk that adds to one choice."""
    return FORM.write_choice(identity, {"delta": delta}, index=index)
