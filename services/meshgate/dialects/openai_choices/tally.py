"""Counts streams of choices as they pass to the caller, and ends them."""

from abc import ABC, abstractmethod
from typing import ClassVar

import msgspec

from meshgate.dialects import sse
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_choices.chunks import DONE, ChunkForm, Identity
from meshgate.dialects.openai_choices.finish_reason import write_finish_reason
from meshgate.dialects.tallied_text import DEFAULT_LIMIT_BYTES, TextTally


class ChoiceTally(TextTally, ABC):
    """Counts one stream. How its events are read is the dialect's.

    Args:
        answer_id: The stream's id, as far as its chunks do not say.
        served_model: Likewise.
        created: Likewise, in seconds since 1970.
        limit_bytes: How much text is kept.
    """

    form: ClassVar[ChunkForm]

    def __init__(
        self,
        *,
        answer_id: str,
        served_model: str,
        created: int,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        super().__init__(limit_bytes)
        self._identity = Identity(answer_id, served_model, created)
        self._identified = False
        self._open_choices: set[int] = set()
        self._finished_choices: set[int] = set()
        self._usage_told = False
        self._events = sse.EventReader()

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk: whole events."""
        for event in self._events.feed(chunk):
            if event.data == b"[DONE]":
                self.ended = True
            else:
                self._take_event(event.data)

    def ending(self, reason: FinishReason, usage: Usage | None, *, include_usage: bool) -> bytes:
        """The events that end the stream."""
        if self.ended:
            return b""
        word = write_finish_reason(reason)
        written = [
            self.form.write_closing(self._identity, word, index)
            for index in sorted(self._open_choices)
        ]
        if not self._open_choices and not self._finished_choices:
            written.append(self.form.write_silence(self._identity, word))
        if include_usage and usage is not None and not self._usage_told:
            written.append(self.form.write_usage(self._identity, usage))
        return b"".join([*written, DONE])

    @abstractmethod
    def _take_event(self, data: bytes) -> None:
        """Take note of an event, read leniently: what cannot be read adds nothing."""

    def _identify(self, answer_id: str | None, model: str | None, created: int | None) -> None:
        """Take over what the first chunk with choices says of the stream."""
        if self._identified:
            return
        self._identified = True
        given = {"id": answer_id, "served_model": model, "created": created}
        told = {name: value for name, value in given.items() if value is not None}
        self._identity = msgspec.structs.replace(self._identity, **told)

    def _note_choice(self, index: int, finish_reason: object) -> None:
        """Take note of how far a choice has come."""
        if finish_reason:
            self._open_choices.discard(index)
            self._finished_choices.add(index)
        elif index not in self._finished_choices:
            self._open_choices.add(index)

    def _note_usage(self) -> None:
        """Take note of a usage; before the end of all choices it is not the last word."""
        if not self._open_choices:
            self._usage_told = True
