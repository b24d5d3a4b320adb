"""Fragments of streamed tool calls, as upstreams really send them."""

from typing import NamedTuple

from msgspec import Struct

from meshgate.dialects.call_names import CallNames
from meshgate.dialects.neutral import ToolCallDelta
from meshgate.dialects.openai_chat.thoughts import ExtraContent


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Custom(Struct):
    name: str | None = None
    input: str | None = None


class WireFragment(Struct):
    """A fragment as it stands in the JSON."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None
    extra_content: ExtraContent | None = None

    @property
    def called(self) -> _Function:
        """What is called, and with what, whatever kind of tool it is."""
        if self.custom is not None:
            return _Function(self.custom.name, self.custom.input)
        return self.function or _Function()


class Place(NamedTuple):
    """Where a fragment belongs: the number of its call, and whether that begins with it."""

    number: int
    is_first: bool

    def is_told_by(self, fragment: WireFragment) -> bool:
        """Whether the fragment says so: by its index, and by naming the call at its beginning only."""
        is_named = bool(fragment.id or fragment.called.name)
        return fragment.index == self.number and (self.is_first or not is_named)


class ToolCallFragments:
    """Numbers the tool calls of one stream from 0, and names each of them once.

    Upstreams repeat ids and names in every fragment, leave out the index, begin to count at 1, or
    give all calls the index 0 and tell them apart by id.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []  # as the upstream says them
        self._names = CallNames()
        self._number_of_index: dict[int, int] = {}

    @property
    def count(self) -> int:
        """How many calls have begun."""
        return len(self._ids)

    def read(self, fragment: WireFragment) -> ToolCallDelta | None:
        """Return what a fragment says; None where it says nothing new.

        Raises:
            MalformedAnswerError: A call begins without a name.
        """
        function = fragment.called
        number = self._known_number(fragment)
        if number is None:
            return self._begin(fragment, function)
        if not function.arguments:
            return None
        return ToolCallDelta(index=number, arguments_fragment=function.arguments)

    def place(self, fragment: WireFragment) -> Place:
        """Which call a fragment belongs to; of one that is not known, the next number."""
        number = self._known_number(fragment)
        is_first = number is None
        return Place(self._next_number(fragment) if number is None else number, is_first)

    def _known_number(self, fragment: WireFragment) -> int | None:
        if fragment.index is None:
            if fragment.id:
                return self._ids.index(fragment.id) if fragment.id in self._ids else None
            named = fragment.called.name
            return len(self._ids) - 1 if self._ids and not named else None
        number = self._number_of_index.get(fragment.index)
        if number is not None and fragment.id and fragment.id != self._ids[number]:
            return None
        return number

    def _begin(self, fragment: WireFragment, function: _Function) -> ToolCallDelta:
        number = self._next_number(fragment)
        return ToolCallDelta(
            index=number,
            id=self._names.id_of(function.name, fragment.id, f"call_{number}"),
            name=function.name or "",
            arguments_fragment=function.arguments or "",
            is_custom=fragment.custom is not None,
        )

    def _next_number(self, fragment: WireFragment) -> int:
        number = len(self._ids)
        self._ids.append(fragment.id or f"call_{number}")
        if fragment.index is not None:
            self._number_of_index[fragment.index] = number
        return number
