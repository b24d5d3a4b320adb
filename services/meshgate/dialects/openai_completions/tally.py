"""Counts streamed completions as they pass to the caller, and ends them."""

from meshgate.dialects.loose_json import decoded, objects, of_type
from meshgate.dialects.openai_choices.tally import ChoiceTally
from meshgate.dialects.openai_completions.chunks import FORM


class OutputTally(ChoiceTally):
    """Counts one stream."""

    form = FORM

    def _take_event(self, data: bytes) -> None:
        event = decoded(data)
        if not isinstance(event, dict):
            return
        if event.get("error"):
            self.ended = True
            return
        choices = objects(event.get("choices"))
        if choices:
            self._identify(
                of_type(event.get("id"), str),
                of_type(event.get("model"), str),
                of_type(event.get("created"), int),
            )
        for choice in choices:
            self._add(choice)
        if event.get("usage"):
            self._note_usage()

    def _add(self, choice: dict[str, object]) -> None:
        index = of_type(choice.get("index"), int) or 0
        text = choice.get("text")
        if isinstance(text, str) and text:
            self._text.add(index, text)
        self._note_choice(index, choice.get("finish_reason"))
