"""Counts streamed completions as they pass to the caller, and ends them."""

import msgspec

from meshgate.dialects import sse
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_chat.finish_reason import write_finish_reason
from meshgate.dialects.openai_chat.texts import decoded, objects
from meshgate.dialects.openai_completions import chunks
from meshgate.dialects.openai_completions.chunks import Identity
from meshgate.dialects.tallied_text import DEFAULT_LIMIT_BYTES, TalliedText


class OutputTally:
    """Counts one stream.

    Args:
        answer_id: The stream's id, as far as its chunks do not say.
        served_model: Likewise.
        created: Likewise, in seconds since 1970.
        limit_bytes: How much text is kept.
    """

    def __init__(
        self,
        *,
        answer_id: str,
        served_model: str,
        created: int,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        self.ended = False
        self._identity = Identity(answer_id, served_model, created)
        self._identified = False
        self._open_choices: set[int] = set()
        self._finished_choices: set[int] = set()
        self._usage_told = False
        self._events = sse.EventReader()
        self._text = TalliedText(limit_bytes)

    @property
    def text_bytes(self) -> int:
        return self._text.size_bytes

    @property
    def kept_bytes(self) -> int:
        return self._text.kept_bytes

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk: whole events."""
        for event in self._events.feed(chunk):
            if event.data == b"[DONE]":
                self.ended = True
            else:
                self._take_event(decoded(event.data))

    def texts(self) -> list[str]:
        """What was written: the text of each choice in one piece."""
        return self._text.texts()

    def ending(self, reason: FinishReason, usage: Usage | None, *, include_usage: bool) -> bytes:
        """The events that end the stream."""
        if self.ended:
            return b""
        word = write_finish_reason(reason)
        unfinished = self._open_choices if self._finished_choices else self._open_choices or {0}
        written = [
            chunks.write_choice(self._identity, "", word, index) for index in sorted(unfinished)
        ]
        if include_usage and usage is not None and not self._usage_told:
            written.append(chunks.write_usage(self._identity, usage))
        return b"".join([*written, chunks.DONE])

    def _take_event(self, event: object) -> None:
        """Read leniently: what cannot be read adds nothing to any choice."""
        if not isinstance(event, dict):
            return
        if event.get("error"):
            self.ended = True
            return
        choices = objects(event.get("choices"))
        if choices:
            self._identify(event)
        for choice in choices:
            self._add(choice)
        if event.get("usage") and not self._open_choices:
            self._usage_told = True

    def _identify(self, event: dict[str, object]) -> None:
        if self._identified:
            return
        self._identified = True
        names: dict[str, tuple[str, type]] = {
            "id": ("id", str),
            "model": ("served_model", str),
            "created": ("created", int),
        }
        told = {
            name: event[member]
            for member, (name, kind) in names.items()
            if isinstance(event.get(member), kind)
        }
        self._identity = msgspec.structs.replace(self._identity, **told)

    def _add(self, choice: dict[str, object]) -> None:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        text = choice.get("text")
        if isinstance(text, str) and text:
            self._text.add(index, text)
        if choice.get("finish_reason"):
            self._open_choices.discard(index)
            self._finished_choices.add(index)
        elif index not in self._finished_choices:
            self._open_choices.add(index)
