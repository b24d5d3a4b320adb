"""Writes generateContent answers from the neutral form: whole ones, and streams as they come.

Arguments of calls, which must be whole here, are gathered; all else is passed on as it comes. A thought
that another provider has signed is signed itself; what Gemini has signed is the part after the thought.
A refusal is text that ends as what is not safe does. Of a call whose arguments are no JSON object one is
made: see `plain_calls`.
"""

from collections.abc import Iterable, Iterator, Sequence

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.gemini_generate import signed_thoughts
from meshgate.dialects.gemini_generate.chunks import Identity, event, write_answer
from meshgate.dialects.gemini_generate.citations import CitedText, Grounding
from meshgate.dialects.gemini_generate.finish_reason import write_finish_reason
from meshgate.dialects.gemini_generate.function_calls import GatheredCalls, write_call
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    Citation,
    CitationDelta,
    Finished,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from meshgate.dialects.plain_calls import PlainCalls


def write(response: ChatResponse, *, created: int) -> bytes:
    """Write a whole answer, which says nothing of when it was made.

    Raises:
        MalformedAnswerError: It holds what Gemini cannot say.
    """
    del created
    return write_answer(
        Identity(response.id, response.served_model),
        list(_parts(response.message.parts)),
        finish_reason=write_finish_reason(
            response.finish_reason,
            refuses=any(isinstance(part, Refusal) for part in response.message.parts),
        ),
        usage=response.usage,
        grounding=_grounding(response.message.parts),
    )


class StreamWriter:
    """Writes one streamed answer; its last chunk tells the reason and the usage.

    Args:
        created: Seconds since 1970; the chunks have no place for it.
        include_usage: Every stream tells its usage.
    """

    def __init__(self, *, created: int, include_usage: bool) -> None:
        del created, include_usage
        self._identity = Identity("", "")
        self._plain = PlainCalls()
        self._calls = GatheredCalls()
        self._signatures = _Signatures()
        self._citations: list[Citation] = []
        self._text = CitedText()
        self._refuses = False

    def write(self, events: Iterable[ChatEvent]) -> bytes:
        """Write the next events.

        Raises:
            MalformedAnswerError: The arguments of calls are too long, or come in a tangle.
        """
        return b"".join(self._event(plain) for event in events for plain in self._plain.take(event))

    def _event(self, told: ChatEvent) -> bytes:
        match told:
            case Started():
                self._identity = Identity(told.id, told.served_model)
            case ToolCallDelta():
                return self._gather(told)
            case CitationDelta(citation):
                self._citations.append(citation)
            case Finished():
                return self._end(told)
            case TextDelta(text) | RefusalDelta(text):
                self._text.add(text)
                self._refuses = self._refuses or isinstance(told, RefusalDelta)
                calls = self._put(self._calls.whole())
                return self._chunk(
                    [*calls, *([self._signatures.put({"text": text})] if text else [])]
                )
            case ReasoningDelta():
                calls = self._put(self._calls.whole())
                return self._chunk([*calls, *self._signatures.thought(told)])
        return b""

    def _gather(self, delta: ToolCallDelta) -> bytes:
        """Take a fragment; a call that Gemini has signed is told again, and whole at once."""
        is_signed = bool(self._signatures.pending)
        owed = self._calls.rest() if is_signed else []
        self._calls.take(delta)
        return self._chunk([*owed, *self._put(self._calls.rest())]) if is_signed else b""

    def _put(self, calls: list[dict[str, object]]) -> list[dict[str, object]]:
        """The calls, with the signatures that wait for them."""
        return [self._signatures.put(part) for part in calls]

    def _chunk(self, parts: Sequence[dict[str, object]]) -> bytes:
        return event(write_answer(self._identity, parts)) if parts else b""

    def _end(self, end: Finished) -> bytes:
        said = [*self._put(self._calls.rest()), *self._signatures.rest()]
        grounding = Grounding()
        grounding.add(self._citations, self._text.words)
        written = write_answer(
            self._identity,
            said or [{"text": ""}],
            finish_reason=write_finish_reason(end.reason, refuses=self._refuses),
            usage=end.usage,
            grounding=grounding.written(),
        )
        return event(written)


class _Signatures:
    """Puts signatures where they belong."""

    def __init__(self) -> None:
        self.pending = ""

    def thought(self, thought: Reasoning | ReasoningDelta) -> list[dict[str, object]]:
        """The parts of a thought; Gemini's signature waits for the next part that is none."""
        part: dict[str, object] = {"text": thought.text, "thought": True}
        if not thought.signature:
            return [part] if thought.text else []
        signature = signed_thoughts.write(thought)
        if not signed_thoughts.is_own(thought):
            return [part | {"thoughtSignature": signature}]
        owed = self.rest()
        self.pending = signature
        return [*owed, part] if thought.text else owed

    def put(self, part: dict[str, object]) -> dict[str, object]:
        """A part with the signature that waits for it."""
        signature, self.pending = self.pending, ""
        return {**part, "thoughtSignature": signature} if signature else part

    def rest(self) -> list[dict[str, object]]:
        """What bears a signature that no part has come for."""
        return [self.put({"text": ""})] if self.pending else []


def _parts(parts: Sequence[Part]) -> Iterator[dict[str, object]]:
    signatures = _Signatures()
    for part in parts:
        match part:
            case Text(text) | Refusal(text):
                if text:
                    yield signatures.put({"text": text})
            case Reasoning():
                yield from signatures.thought(part)
            case ToolCall():
                yield signatures.put(write_call(part))
            case _:
                raise MalformedAnswerError("the answer holds what Gemini's format cannot say")
    yield from signatures.rest()


def _grounding(parts: Sequence[Part]) -> dict[str, object] | None:
    """What all texts cite, each in its place in all of them."""
    grounding, offset = Grounding(), 0
    for part in parts:
        if isinstance(part, Text):
            grounding.add(part.citations, part.text, offset)
            offset += len(part.text.encode(errors="replace"))
    return grounding.written()
