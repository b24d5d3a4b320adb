"""The items of a response's output while they grow."""

from typing import Literal

from msgspec import Struct, field

PartKind = Literal["output_text", "refusal", "reasoning_text", "summary_text"]
ItemKind = Literal["message", "reasoning", "function_call", "custom_tool_call"]


class Part(Struct):
    """A text in an item; `length` is in characters."""

    kind: PartKind
    content: bytearray = field(default_factory=bytearray)
    annotations: list[object] = field(default_factory=list)
    length: int = 0
    is_open: bool = True

    @property
    def text(self) -> str:
        return self.content.decode()

    def add(self, text: str) -> None:
        # A string for each piece would take many times the memory.
        self.content += text.encode(errors="replace")
        self.length += len(text)

    def json(self) -> dict[str, object]:
        """The part as it stands in an item."""
        if self.kind == "output_text":
            annotations = list(self.annotations)
            return {
                "type": self.kind,
                "text": self.text,
                "annotations": annotations,
                "logprobs": [],
            }
        return {"type": self.kind, "refusal" if self.kind == "refusal" else "text": self.text}


class Item(Struct):
    """An item: a message or a thought with its parts, or a call with what the tool is given.

    Attributes:
        id: Its name, which no other item of the response has.
        index: Its place in the output.
        arguments: What the tool is given so far, in UTF-8.
        encrypted: What only the maker of a thought can read.
    """

    kind: ItemKind
    id: str
    index: int
    parts: list[Part] = field(default_factory=list)
    arguments: bytearray = field(default_factory=bytearray)
    name: str = ""
    call_id: str = ""
    encrypted: str = ""
    is_open: bool = True

    @property
    def argument_text(self) -> str:
        return self.arguments.decode()

    def parts_of(self, member: str) -> list[Part]:
        """Its parts in one of its members: what is summed up, or the rest."""
        return [
            part for part in self.parts if (part.kind == "summary_text") == (member == "summary")
        ]

    def number_of(self, part: Part) -> int:
        """The part's place in its member."""
        member = "summary" if part.kind == "summary_text" else "content"
        return next(at for at, each in enumerate(self.parts_of(member)) if each is part)

    def json(self, status: str) -> dict[str, object]:
        """The item as it stands in the output."""
        if self.kind == "message":
            content = [part.json() for part in self.parts]
            head = {"id": self.id, "type": self.kind, "status": status, "role": "assistant"}
            return {**head, "content": content}
        if self.kind == "reasoning":
            return self._thought()
        member = "arguments" if self.kind == "function_call" else "input"
        return {
            "id": self.id,
            "type": self.kind,
            "status": status,
            "call_id": self.call_id,
            "name": self.name,
            member: self.argument_text,
        }

    def _thought(self) -> dict[str, object]:
        written: dict[str, object] = {
            "id": self.id,
            "type": self.kind,
            "summary": [part.json() for part in self.parts_of("summary")],
        }
        if content := [part.json() for part in self.parts_of("content")]:
            written["content"] = content
        if self.encrypted:
            written["encrypted_content"] = self.encrypted
        return written
