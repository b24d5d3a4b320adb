"""One YAML file as plain values, with the line of each.

Scalars follow YAML 1.2's core schema, in which `on` and `no` are words; the keys of mappings are
always text. Anchors, aliases and `<<` work, within bounds.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from meshgate.config.problems import FieldPath, Place, Problem, written

MAXIMUM_DEPTH = 40
MAXIMUM_VALUES = 200_000
MAXIMUM_BYTES = 8 * 1024 * 1024

# No field takes a larger number.
_BEYOND = 2**53

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"


_NESTED = f"is nested more than {MAXIMUM_DEPTH} levels deep: flatten it"
# What newer parsers say by themselves, of documents that are nested much deeper.
_TOO_DEEP = "exceeded maximum nesting depth"


@dataclass(frozen=True, slots=True)
class Document:
    """What one file says: `value` is None where it cannot be read or says nothing."""

    value: Any
    lines: dict[FieldPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_document(file: str, content: bytes) -> Document:
    """Read a file's content; what is wrong with it is among the document's problems."""
    try:
        return _Reading(file).read(content)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _refused(file, line, "is not UTF-8 text: save the file as UTF-8")
    except _BoundError as bound:
        return _refused(file, bound.line, bound.sentence)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if _TOO_DEEP in str(error.problem):
            return _refused(file, line, _NESTED)
        words = ", ".join(part for part in (error.context, error.problem) if part)
        return _refused(file, line, f"is not YAML: {words}")
    except yaml.YAMLError as error:
        return _refused(file, 1, f"is not YAML: {' '.join(str(error).split())}")


def _refused(file: str, line: int, sentence: str) -> Document:
    return Document(None, problems=[Problem(Place(file, line), "", sentence)])


class _BoundError(Exception):
    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


# libyaml's parser is ten times as fast; the composer in Python is what can be bounded.
class _Loader(Composer, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own declaration

    def __init__(self, text: str) -> None:
        super(Composer, self).__init__(text)
        Composer.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._depth += 1
        if self._depth > MAXIMUM_DEPTH:
            raise _BoundError(
                self.peek_event().start_mark.line + 1,
                _NESTED,
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]{1,300}", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        _TAG + _name, re.compile(f"^(?:{_pattern})$"), [*_first, ""] if _name == "null" else _first
    )


class _Reading:
    def __init__(self, file: str) -> None:
        self._file = file
        self._values = 0
        self._lines: dict[FieldPath, int] = {}
        self._problems: list[Problem] = []

    def read(self, content: bytes) -> Document:
        if len(content) > MAXIMUM_BYTES:
            raise _BoundError(1, f"is larger than {MAXIMUM_BYTES} bytes: use `include`")
        node = _Loader(content.decode("utf-8-sig")).get_single_node()
        value = None if node is None else self._value(node, ())
        return Document(value, self._lines, self._problems)

    def _value(self, node: Node, path: FieldPath) -> Any:
        self._count(node, path)
        self._lines.setdefault(path, _line(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._value(item, (*path, at)) for at, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _count(self, node: Node, path: FieldPath) -> None:
        self._values += 1
        if self._values > MAXIMUM_VALUES or len(path) > MAXIMUM_DEPTH:
            raise _BoundError(
                _line(node), "is too large once its aliases are written out: use fewer of them"
            )

    def _scalar(self, node: Node, path: FieldPath) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        if kind == "float" and not _is_exact(text):
            self._complain(
                node, path, "has more digits than are read exactly: quote it, or use fewer"
            )
        try:
            return _SCALARS[kind](text)
        except (KeyError, ValueError):
            self._complain(node, path, f"the tag {node.tag} does not fit here: remove it")
            return text

    def _mapping(self, node: MappingNode, path: FieldPath) -> dict[str, Any]:
        own: dict[str, tuple[Node, Node]] = {}
        for key, value in self._named(node, path):
            name = str(key.value)
            if name in own:
                first = _line(own[name][0])
                sentence = f"stands here twice: it is also in line {first}; remove one of them"
                self._complain(key, (*path, name), sentence)
            else:
                own[name] = (key, value)
        entries = {**self._inherited(node, path), **own}
        return {
            name: self._entry(key, value, (*path, name)) for name, (key, value) in entries.items()
        }

    def _entry(self, key: Node, value: Node, path: FieldPath) -> Any:
        self._lines[path] = _line(key)
        return self._value(value, path)

    def _named(self, node: MappingNode, path: FieldPath) -> Iterator[tuple[Node, Node]]:
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._complain(key, path, "has a field whose name is not a word: write a word")
            elif key.tag != _MERGE:
                yield key, value

    def _inherited(self, node: MappingNode, path: FieldPath) -> dict[str, tuple[Node, Node]]:
        """What `<<` brings. Of several mappings the first one that has a field wins."""
        found: dict[str, tuple[Node, Node]] = {}
        self._count(node, path)
        for key, value in node.value:
            if key.tag == _MERGE:
                sources = value.value if isinstance(value, SequenceNode) else [value]
                for source in reversed(sources):
                    found |= self._fields_of(source, path)
        return found

    def _fields_of(self, source: Node, path: FieldPath) -> dict[str, tuple[Node, Node]]:
        if not isinstance(source, MappingNode):
            self._complain(source, path, "`<<` takes a mapping or a list of mappings")
            return {}
        # The longer path makes a mapping that merges itself run into the bound on depth.
        inherited = self._inherited(source, (*path, "<<"))
        self._values += len(source.value)
        own = {str(key.value): (key, value) for key, value in self._named(source, path)}
        return {**inherited, **own}

    def _complain(self, node: Node, path: FieldPath, sentence: str) -> None:
        self._problems.append(Problem(Place(self._file, _line(node)), written(path), sentence))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _is_exact(text: str) -> bool:
    """Whether a float keeps all that is written; True for what is told to be wrong elsewhere."""
    try:
        value = float(text)
        return not abs(value) < _BEYOND or Decimal(text) == Decimal(repr(value))
    except ValueError:
        return True
    except InvalidOperation:
        return False


_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": int,
    "float": float,
}
