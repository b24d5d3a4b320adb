"""Ways to say what stands in a request, where there are several."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class InOtherWords:
    """What says nearly the same, and how."""

    words: str
    golden: Any

    def fits(self, body: Any) -> bool:
        return holds(body, self.golden)


class OneOf:
    """Any of several ways to say the same."""

    def __init__(self, *ways: Any) -> None:
        self._ways = ways

    def fits(self, body: Any) -> bool:
        return any(holds(body, way) for way in self._ways)


@dataclass(frozen=True)
class Json:
    """A text that says the same JSON."""

    value: Any

    def fits(self, body: Any) -> bool:
        return isinstance(body, str) and json.loads(body) == self.value


@dataclass(frozen=True)
class Lacks:
    """Anything without a member of this name."""

    name: str

    def fits(self, body: Any) -> bool:
        return isinstance(body, Mapping) and self.name not in body


def holds(body: Any, golden: Any) -> bool:
    """Whether a body has all members of the golden one; lists have the same length."""
    match golden:
        case InOtherWords() | OneOf() | Json() | Lacks():
            return golden.fits(body)
        case Mapping():
            return isinstance(body, Mapping) and all(
                name in body and holds(body[name], member) for name, member in golden.items()
            )
        case list():
            is_as_long = isinstance(body, list) and len(body) == len(golden)
            return is_as_long and all(map(holds, body, golden))
        case _:
            return type(body) is type(golden) and bool(body == golden)
