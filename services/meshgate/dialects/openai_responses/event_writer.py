"""The events of a streamed response, as they are written."""

from typing import NamedTuple

import msgspec

from meshgate.dialects.openai_responses.output_items import Item, Part, PartKind
from meshgate.dialects.openai_responses.status import COMPLETED

IN_PROGRESS = "in_progress"


class _Words(NamedTuple):
    """How events speak of a kind of part."""

    added: str
    done: str
    text: str
    member: str
    place: str


_CONTENT = ("response.content_part.added", "response.content_part.done")
_PARTS: dict[PartKind, _Words] = {
    "output_text": _Words(*_CONTENT, "response.output_text", "text", "content_index"),
    "refusal": _Words(*_CONTENT, "response.refusal", "refusal", "content_index"),
    "reasoning_text": _Words(*_CONTENT, "response.reasoning_text", "text", "content_index"),
    "summary_text": _Words(
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text",
        "text",
        "summary_index",
    ),
}
_CALLS = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}


class EventWriter:
    """Writes events, numbered without gaps.

    Args:
        next_number: The number of the first.
    """

    def __init__(self, next_number: int = 0) -> None:
        self.next_number = next_number

    def write(self, event: str, **members: object) -> bytes:
        """Write one event."""
        content = {"type": event, "sequence_number": self.next_number, **members}
        self.next_number += 1
        return b"event: " + event.encode() + b"\ndata: " + msgspec.json.encode(content) + b"\n\n"

    def open_item(self, item: Item) -> bytes:
        """Say that an item begins, of which nothing is said yet."""
        return self.write(
            "response.output_item.added", output_index=item.index, item=item.json(IN_PROGRESS)
        )

    def open_part(self, item: Item, kind: PartKind) -> bytes:
        """Add a part to an item and say so."""
        part = Part(kind)
        item.parts.append(part)
        return self.write(_PARTS[kind].added, **self._place(item, part), part=part.json())

    def text(self, item: Item, part: Part, text: str) -> bytes:
        """Add to a part."""
        part.add(text)
        place = self._place(item, part)
        more: dict[str, object] = {"logprobs": []} if part.kind == "output_text" else {}
        return self.write(f"{_PARTS[part.kind].text}.delta", **place, delta=text, **more)

    def annotation(self, item: Item, part: Part, annotation: object) -> bytes:
        """Add what a text cites."""
        part.annotations.append(annotation)
        return self.write(
            "response.output_text.annotation.added",
            **self._place(item, part),
            annotation_index=len(part.annotations) - 1,
            annotation=annotation,
        )

    def arguments(self, item: Item, fragment: str) -> bytes:
        """Add to what a tool is given."""
        item.arguments += fragment.encode(errors="replace")
        event, _ = _CALLS[item.kind]
        return self.write(
            f"{event}.delta", item_id=item.id, output_index=item.index, delta=fragment
        )

    def close_part(self, item: Item, part: Part) -> bytes:
        """Say all of a part again, and that it is over."""
        part.is_open = False
        words, place = _PARTS[part.kind], self._place(item, part)
        more: dict[str, object] = {words.member: part.text}
        if part.kind == "output_text":
            more["logprobs"] = []
        done = self.write(f"{words.text}.done", **place, **more)
        return done + self.write(words.done, **place, part=part.json())

    def close_item(self, item: Item, status: str = COMPLETED) -> bytes:
        """Say all of an item again, and that it is over."""
        item.is_open = False
        written = [self.close_part(item, part) for part in item.parts if part.is_open]
        if item.kind in _CALLS:
            event, member = _CALLS[item.kind]
            place = {"item_id": item.id, "output_index": item.index}
            said = {"name": item.name} if item.kind == "function_call" else {}
            written.append(
                self.write(f"{event}.done", **place, **said, **{member: item.argument_text})
            )
        done = self.write(
            "response.output_item.done", output_index=item.index, item=item.json(status)
        )
        return b"".join(written) + done

    def _place(self, item: Item, part: Part) -> dict[str, object]:
        name = _PARTS[part.kind].place
        return {"item_id": item.id, "output_index": item.index, name: item.number_of(part)}
