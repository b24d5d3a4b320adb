"""The chunks of a streamed completion, as they are written."""

from meshgate.dialects.openai_choices.chunks import ChunkForm, Identity

FORM = ChunkForm(object_name="text_completion", opening={"text": ""}, closing={"text": ""})


def write_text(identity: Identity, text: str, index: int = 0) -> bytes:
    """Write a chunk that adds to one choice."""
    return FORM.write_choice(identity, {"text": text}, index=index)
