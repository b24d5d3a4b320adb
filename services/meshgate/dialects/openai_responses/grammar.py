"""The grammar of streamed responses: what a client of OpenAI's API may rely on.

- every event is an object whose `type` is the event's name, numbered from 0 without gaps;
- `response.created` comes first, once; nothing follows the event that ends the response;
- the response's id does not change;
- items are added in the order of their indices, one after the other, and have ids of their own;
- parts, texts and calls are added to items that are open, and name them rightly;
- what ends a text, a part or an item says all of it again, and so does the end of the response;
- all that was opened is closed before the response ends, unless it fails.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.grammar import GrammarError
from meshgate.dialects.openai_responses.bounds import EVENT_LIMIT_BYTES
from meshgate.dialects.sse_grammar import SseGrammar

_ENDS = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
_TEXTS = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_text": "text",
    "response.reasoning_summary_text": "text",
}
_CALLS = {
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}

Event = dict[str, Any]


class _Item:
    """An item that was added."""

    def __init__(self, item: Event) -> None:
        self.type, self.id = item["type"], item["id"]
        self.texts: dict[str, str] = {}
        self.open_parts: set[str] = set()
        self.done: Event | None = None


class ResponseGrammar(SseGrammar):
    """Checks one stream, as bytes, wherever it is split."""

    end = "an end"

    def __init__(self) -> None:
        super().__init__(sse.EventReader(EVENT_LIMIT_BYTES))
        self._number = 0
        self._id: str | None = None
        self._items: list[_Item] = []

    def _check(self, event: sse.Event) -> None:
        content = _decoded(event.data)
        kind = content.get("type", "")
        _demand(event.name.decode() == kind, f"the event {kind} has another name")
        _demand(content.get("sequence_number") == self._number, f"{kind} is misnumbered")
        self._number += 1
        try:
            self._check_content(kind, content)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise GrammarError(f"{kind} lacks something: {error!r}") from error

    def _check_content(self, kind: str, content: Event) -> None:
        if kind == "error":
            _demand(isinstance(content["message"], str), "an error without a message")
            self._ended = True
            return
        _demand((self._id is None) == (kind == "response.created"), f"{kind} is out of place")
        if "response" in content:
            self._check_response(kind, content["response"])
            return
        check = self._checks.get(kind)
        if check is not None:
            check(self, content)
            return
        stem, _, last = kind.rpartition(".")
        if stem in _TEXTS or stem in _CALLS:
            self._check_text(stem, last, content)

    def _check_response(self, kind: str, response: Event) -> None:
        _demand(self._id in (None, response["id"]), "the response's id changed")
        self._id = response["id"]
        if kind not in _ENDS:
            _demand(response["status"] in ("in_progress", "queued"), f"{kind} is over already")
            return
        self._ended = True
        _demand(response["status"] == _ENDS[kind], f"{kind} has another status")
        if kind == "response.failed":
            return
        _demand(all(item.done is not None for item in self._items), "an item is still open")
        told = [item.done for item in self._items]
        _demand(response["output"] == told, "the end does not say again what was said")
        if kind == "response.incomplete":
            _demand(response["incomplete_details"]["reason"], "incomplete without a reason")

    def _add_item(self, content: Event) -> None:
        _demand(content["output_index"] == len(self._items), "an item is out of order")
        item = _Item(content["item"])
        _demand(all(item.id != each.id for each in self._items), "two items have one id")
        self._items.append(item)

    def _end_item(self, content: Event) -> None:
        item = self._items[content["output_index"]]
        done = content["item"]
        _demand(item.done is None, "an item ends twice")
        _demand((item.type, item.id) == (done["type"], done["id"]), "an item changed its name")
        _demand(not item.open_parts, "an item ends before its parts")
        said = {where: text for where, text in _said(done).items() if text or where in item.texts}
        _demand(item.texts == said, "an item does not say again what was said")
        item.done = done

    def _add_part(self, content: Event) -> None:
        item, where = self._place(content)
        _demand(where not in item.texts, "a part begins twice")
        item.texts[where] = ""
        item.open_parts.add(where)

    def _end_part(self, content: Event) -> None:
        item, where = self._place(content)
        _demand(where in item.open_parts, "a part ends that is not open")
        part = content["part"]
        told = part.get("text", part.get("refusal"))
        _demand(told == item.texts[where], "a part does not say again what was said")
        item.open_parts.discard(where)

    def _check_text(self, stem: str, last: str, content: Event) -> None:
        item, where = self._place(content)
        if stem in _CALLS:
            item.texts.setdefault(where, "")
        else:
            _demand(where in item.open_parts, f"{stem} adds to a part that is not open")
        if last == "delta":
            item.texts[where] += content["delta"]
        elif last == "done":
            member = _TEXTS.get(stem) or _CALLS[stem]
            _demand(
                content[member] == item.texts[where], f"{stem} does not say again what was said"
            )

    def _place(self, content: Event) -> tuple[_Item, str]:
        item = self._items[content["output_index"]]
        _demand(item.done is None, "something is added to an item that is over")
        _demand(item.id == content["item_id"], "an item is misnamed")
        if "summary_index" in content:
            return item, f"summary[{content['summary_index']}]"
        if "content_index" in content:
            return item, f"content[{content['content_index']}]"
        return item, "call"

    _checks: ClassVar[dict[str, Callable[["ResponseGrammar", Event], None]]] = {
        "response.output_item.added": _add_item,
        "response.output_item.done": _end_item,
        "response.content_part.added": _add_part,
        "response.content_part.done": _end_part,
        "response.reasoning_summary_part.added": _add_part,
        "response.reasoning_summary_part.done": _end_part,
    }


def check(stream: bytes) -> None:
    """Check a whole stream.

    Raises:
        GrammarError: It breaks the grammar.
    """
    grammar = ResponseGrammar()
    grammar.feed(stream)
    grammar.close()


def _demand(holds: object, problem: str) -> None:
    if not holds:
        raise GrammarError(problem)


def _decoded(data: bytes) -> Event:
    try:
        content = msgspec.json.decode(data)
    except UNREADABLE as error:
        raise GrammarError(f"an event is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise GrammarError("an event is no object")
    return content


def _said(item: Event) -> dict[str, str]:
    """The texts of an item by where they stand."""
    said = {}
    for member in ("content", "summary"):
        for at, part in enumerate(item.get(member) or ()):
            said[f"{member}[{at}]"] = part.get("text", part.get("refusal"))
    for member in _CALLS.values():
        if isinstance(item.get(member), str):
            said["call"] = item[member]
    return said
