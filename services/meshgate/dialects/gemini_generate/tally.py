"""Counts streams of generated content as they pass to the caller, and ends them."""

from meshgate.dialects import sse
from meshgate.dialects.gemini_generate.chunks import Identity, event, write_answer
from meshgate.dialects.gemini_generate.finish_reason import write_finish_reason
from meshgate.dialects.gemini_generate.texts import content_texts
from meshgate.dialects.loose_json import decoded, objects, of_type
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.tallied_text import DEFAULT_LIMIT_BYTES, TextTally


class OutputTally(TextTally):
    """Counts one stream.

    Args:
        answer_id: The stream's id, as far as its chunks do not say.
        served_model: Likewise.
        created: As other dialects want it; the chunks have no place for it.
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
        del created
        super().__init__(limit_bytes)
        self._identity = Identity(answer_id, served_model)
        self._is_identified = False
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._events = sse.EventReader()

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk: whole events."""
        for each in self._events.feed(chunk):
            answer = decoded(each.data)
            if isinstance(answer, dict):
                self._take_answer(answer)

    def ending(self, reason: FinishReason, usage: Usage | None, *, include_usage: bool) -> bytes:
        """The chunks that end the stream; the usage is always told, in the last."""
        del include_usage
        if self.ended:
            return b""
        word = write_finish_reason(reason)
        indices = sorted(self._open) or [0]
        self.ended = True
        return b"".join(
            event(
                write_answer(
                    self._identity,
                    [{"text": ""}],
                    finish_reason=word,
                    usage=usage if index == indices[-1] else None,
                    index=index,
                )
            )
            for index in indices
        )

    def _take_answer(self, answer: dict[str, object]) -> None:
        if answer.get("error"):
            self.ended = True
            return
        self._identify(answer)
        for candidate in objects(answer.get("candidates")):
            self._take_candidate(candidate)
        feedback = answer.get("promptFeedback")
        is_blocked = isinstance(feedback, dict) and bool(feedback.get("blockReason"))
        self.ended = self.ended or is_blocked or (bool(self._finished) and not self._open)

    def _take_candidate(self, candidate: dict[str, object]) -> None:
        index = of_type(candidate.get("index"), int) or 0
        for text in content_texts(candidate.get("content")):
            self._text.add(index, text)
        if candidate.get("finishReason"):
            self._open.discard(index)
            self._finished.add(index)
        elif index not in self._finished:
            self._open.add(index)

    def _identify(self, answer: dict[str, object]) -> None:
        if self._is_identified:
            return
        self._is_identified = True
        self._identity = Identity(
            of_type(answer.get("responseId"), str) or self._identity.id,
            of_type(answer.get("modelVersion"), str) or self._identity.served_model,
        )
