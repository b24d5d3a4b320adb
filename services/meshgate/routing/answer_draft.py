"""An answer as it is written: what will stay of it in a conversation."""

from collections.abc import Sequence

from meshgate.dialects.answer_parts import AnswerParts
from meshgate.dialects.neutral import ChatEvent, Finished, FinishReason, Message, Part, Role
from meshgate.runtime.errors import RequestTooLargeError

_CUT = {FinishReason.LENGTH, FinishReason.CONTENT_FILTER}


class AnswerDraft:
    """Gathers the events of one answer.

    Args:
        most_bytes: How long it may become.

    Attributes:
        is_finished: Whether the answer is whole.
    """

    def __init__(self, most_bytes: int) -> None:
        self.is_finished = False
        self._is_cut = False
        self._room_bytes = most_bytes
        self._parts = AnswerParts()

    def take(self, event: ChatEvent) -> None:
        """Take the next event.

        Raises:
            RequestTooLargeError: The answer has become too long to be kept.
        """
        self._room_bytes -= self._parts.take(event)
        if self._room_bytes < 0:
            raise RequestTooLargeError(
                "the answer is longer than what this conversation can still hold: begin another one"
            )
        if isinstance(event, Finished):
            self.is_finished = True
            self._is_cut = event.reason in _CUT

    def whole(self) -> Message | None:
        """The answer; None where nothing was said.

        Of one that was cut before its end stays what was said aloud: nobody can tell whether its last
        tool call is whole, and no result of one would ever come.
        """
        return self.spoken() if self._is_cut else _message(self._parts.whole())

    def spoken(self) -> Message | None:
        """What was said aloud until now, without thoughts and tool calls; None where nothing was."""
        return _message(self._parts.spoken())


def _message(parts: Sequence[Part]) -> Message | None:
    return Message(role=Role.ASSISTANT, parts=tuple(parts)) if parts else None
