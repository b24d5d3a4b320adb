"""A conversation: what was said so far, and whose turn it is.

However it goes, what it holds can be asked: every tool call of an answer has its result before
anything else is said, and a turn that fails leaves no trace.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from meshgate.dialects.answer_parts import text_bytes
from meshgate.dialects.neutral import (
    Audio,
    ChatRequest,
    Citation,
    File,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from meshgate.runtime.errors import FailedPreconditionError, RequestTooLargeError

MIB = 1 << 20


class Bounds(Struct, frozen=True):
    """The most that one conversation may hold."""

    messages: int = 2_000
    size_bytes: int = 8 * MIB
    turns: int = 1_000


class Conversation:
    """What was said so far. A turn is begun, and then either answered or taken back.

    Args:
        opening: Model, tools and parameters, and what was said before.
        bounds: How much it may become.

    Raises:
        RequestTooLargeError: The opening is more than that already.
    """

    def __init__(self, opening: ChatRequest, bounds: Bounds | None = None) -> None:
        self._opening = opening
        self._bounds = bounds or Bounds()
        self._messages = list(opening.messages)
        self._size_bytes = sum(map(size_of, self._messages))
        self.turn = 0
        self._is_open = False
        self._check_room(())

    @property
    def room_bytes(self) -> int:
        """How much more may be said."""
        return self._bounds.size_bytes - self._size_bytes

    @property
    def awaited_calls(self) -> tuple[str, ...]:
        """The ids of the tool calls whose results must come next."""
        last = self._messages[-1] if self._messages else None
        if last is None or last.role is not Role.ASSISTANT:
            return ()
        return tuple(part.id for part in last.parts if isinstance(part, ToolCall))

    def question(self) -> ChatRequest:
        """What to ask: all that was said so far."""
        return msgspec.structs.replace(self._opening, messages=tuple(self._messages))

    # ------------------------------------------------------------- turns

    def say(self, message: Message) -> None:
        """Begin a turn with what the user says.

        Raises:
            FailedPreconditionError: It is not the user's turn.
            RequestTooLargeError: The conversation is full.
        """
        if self.awaited_calls:
            raise FailedPreconditionError(
                "the last answer called tools: their results must come first", field="user"
            )
        self._begin(message, "user")

    def report(self, results: Sequence[ToolResult]) -> None:
        """Begin a turn with the results of all the tools that were called.

        Raises:
            FailedPreconditionError: They are not what the last answer waits for.
            RequestTooLargeError: The conversation is full.
        """
        awaited = self.awaited_calls
        if not awaited or sorted(result.tool_call_id for result in results) != sorted(awaited):
            raise FailedPreconditionError(
                "there must be one result for each tool call of the last answer, and no other",
                field="tool_results",
            )
        self._begin(Message(role=Role.TOOL, parts=tuple(results)), "tool_results")

    def answer(self, message: Message | None) -> None:
        """End the turn with an answer, if there is anything that stays of it."""
        self._end()
        if message is not None:
            self._add(message)

    def take_back(self) -> None:
        """End the turn as if it had not been tried."""
        self._end()
        self._size_bytes -= size_of(self._messages.pop())

    def _begin(self, message: Message, field: str) -> None:
        if self._is_open:
            raise FailedPreconditionError(
                "an answer is in progress: wait for its end, or cancel it", field=field
            )
        self._check_room((message,))
        self._is_open = True
        self.turn += 1
        self._add(message)

    def _end(self) -> None:
        if not self._is_open:
            raise RuntimeError("no turn was begun")
        self._is_open = False

    def _add(self, message: Message) -> None:
        self._messages.append(message)
        self._size_bytes += size_of(message)

    def _check_room(self, more: Sequence[Message]) -> None:
        bounds = self._bounds
        size_bytes = self._size_bytes + sum(map(size_of, more))
        self._check("bytes", size_bytes, bounds.size_bytes)
        self._check("messages", len(self._messages) + len(more), bounds.messages)
        self._check("turns", self.turn + len(more), bounds.turns)

    @staticmethod
    def _check(what: str, count: int, limit: int) -> None:
        if count > limit:
            raise RequestTooLargeError(
                f"the conversation would have {count} {what}, and may have {limit}:"
                " begin another one",
                count=str(count),
                what=what,
                limit=str(limit),
            )


def size_of(message: Message) -> int:
    """How much is said in a message, in bytes."""
    return sum(_sizes(message.parts)) + len(message.name.encode(errors="replace"))


def _sizes(parts: Iterable[Part]) -> Iterable[int]:
    for part in parts:
        match part:
            case Image() | File() | Audio():
                yield len(part.data)
                yield len(getattr(part, "uri", ""))
            case ToolResult():
                yield from _sizes(part.content)
            case ToolCall():
                yield text_bytes(part.id) + text_bytes(part.name) + text_bytes(part.arguments_json)
            case Text():
                yield text_bytes(part.text)
                yield from map(_size_of_citation, part.citations)
            case Refusal() | Reasoning():
                yield text_bytes(part.text)
                yield len(getattr(part, "signature", b""))


def _size_of_citation(citation: Citation) -> int:
    return text_bytes(citation.quoted + citation.uri + citation.title)
