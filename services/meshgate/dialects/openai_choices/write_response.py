"""Writes answers of choices from the neutral form: whole ones, and streams as they come."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import msgspec

from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    Citation,
    CitationDelta,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
)
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_choices.chunks import DONE, ChunkForm, Identity
from meshgate.dialects.openai_choices.finish_reason import write_finish_reason


def write(
    response: ChatResponse, said: dict[str, object], *, object_name: str, created: int
) -> bytes:
    """Write a whole answer of one choice.

    Args:
        response: The answer.
        said: The members by which the choice says what it says.
        object_name: What answers of the dialect call themselves.
        created: Seconds since 1970.
    """
    choice = {
        "index": 0,
        **said,
        "logprobs": None,
        "finish_reason": write_finish_reason(response.finish_reason),
    }
    members: dict[str, object] = {
        "id": response.id,
        "object": object_name,
        "created": created,
        "model": response.served_model,
        "choices": [choice],
    }
    if response.usage is not None:
        members["usage"] = usage_object.write(response.usage)
    return msgspec.json.encode(members)


class ChoiceWriter(ABC):
    """Writes one streamed answer, ending with `[DONE]`.

    Args:
        created: Seconds since 1970.
        include_usage: Whether the caller wants the usage in a chunk of its own at the end.
    """

    form: ClassVar[ChunkForm]

    def __init__(self, *, created: int, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._identity = Identity("", "", created)

    def write(self, events: Iterable[ChatEvent]) -> bytes:
        """Write the next events.

        Raises:
            UnsupportedError: The dialect cannot express one of them.
        """
        return b"".join(self._event(event) for event in events)

    def write_citation(self, identity: Identity, citation: Citation) -> bytes:
        """Write a chunk that says what the text cites; nothing where there is no place for it."""
        del identity, citation
        return b""

    @abstractmethod
    def write_delta(
        self,
        identity: Identity,
        event: TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta,
    ) -> bytes:
        """Write a chunk that adds to the choice."""

    def _event(self, event: ChatEvent) -> bytes:
        match event:
            case Started():
                self._identity = Identity(event.id, event.served_model, self._identity.created)
                return self.form.write_opening(self._identity)
            case Finished():
                return self._end(event)
            case CitationDelta(citation):
                return self.write_citation(self._identity, citation)
            case _:
                return self.write_delta(self._identity, event)

    def _end(self, event: Finished) -> bytes:
        written = self.form.write_closing(self._identity, write_finish_reason(event.reason))
        if self._include_usage and event.usage is not None:
            written += self.form.write_usage(self._identity, event.usage)
        return written + DONE
