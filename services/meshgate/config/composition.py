"""A configuration file and those that it includes, as one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshgate.config.document import MAXIMUM_BYTES, read_document
from meshgate.config.problems import FieldPath, Place, Problem, written

MAXIMUM_FILES = 1_000


@dataclass(frozen=True, slots=True)
class Files:
    """The bytes of the files of a configuration; None for one that cannot be read."""

    root: Path
    patterns: tuple[str, ...]
    contents: Mapping[Path, bytes | None]

    def read_again(self) -> "Files":
        """The same files as they are now, those included that match a pattern since."""
        return read_files(self.root, self.patterns)


def read_files(root: Path, patterns: tuple[str, ...] = ()) -> Files:
    """Read the file and those that match the patterns, which are relative to its directory."""
    return Files(root, patterns, {path: _content(path) for path in _paths(root, patterns)})


@dataclass(frozen=True, slots=True)
class Composition:
    """What the files say together.

    `value` is None where a file cannot be read at all: what the others say is then no use, for it
    may refer to what is missing.
    """

    value: dict[str, Any] | None
    places: Mapping[FieldPath, Place]
    problems: list[Problem]
    files: Files

    def place(self, path: FieldPath) -> Place:
        """Where the field is written, or else what it is a part of."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place(str(self.files.root), 1)

    def problem(self, path: FieldPath, sentence: str) -> Problem:
        """Something that is wrong with a field."""
        return Problem(self.place(path), written(path), sentence)


def compose(root: Path) -> Composition:
    """Read the file and what it includes. What is wrong is among the composition's problems."""
    merge = _Merge(root)
    merge.add(root, _content(root))
    patterns = merge.patterns()
    files = read_files(root, patterns)
    for path, content in files.contents.items():
        if path != root:
            merge.add(path, content)
    return merge.composition(Files(root, patterns, {**files.contents, root: merge.root_content}))


class _Merge:
    """Puts files together: mappings by name, lists one after the other."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._value: dict[str, Any] = {}
        self._places: dict[FieldPath, Place] = {}
        self._problems: list[Problem] = []
        self._unreadable = False
        self.root_content: bytes | None = None

    def add(self, path: Path, content: bytes | None) -> None:
        file = str(path)
        if path == self._root:
            self.root_content = content
        if content is None:
            self._refuse(Place(file, 1), "cannot be read: check that it exists and may be read")
            return
        document = read_document(file, content)
        self._problems += document.problems
        if isinstance(document.value, dict):
            self._sections(file, document.value, document.lines)
        elif document.value is not None:
            self._refuse(Place(file, 1), "must hold fields such as `providers:` and `models:`")
        elif document.problems:
            self._unreadable = True
        elif path == self._root:
            self._refuse(Place(file, 1), "is empty: write `providers:` and `models:` into it")

    def patterns(self) -> tuple[str, ...]:
        """Take out what the first file includes."""
        found = self._value.pop("include", None)
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(item, str) and item for item in found):
            sentence = 'must be a list of file names, for instance ["conf.d/*.yaml"]'
            self._refuse(self._places["include",], sentence, "include")
            return ()
        return tuple(item for at, item in enumerate(found) if self._is_usable(item, at))

    def composition(self, files: Files) -> Composition:
        if len(files.contents) > MAXIMUM_FILES:
            sentence = f"matches more than {MAXIMUM_FILES} files: name fewer"
            self._refuse(self._places["include",], sentence, "include")
        value = None if self._unreadable else self._value
        return Composition(value, self._places, self._problems, files)

    def _is_usable(self, pattern: str, at: int) -> bool:
        try:
            _matches(self._root.parent, pattern)
        except ValueError as error:
            sentence = f"cannot be used as a pattern: {error}"
            self._refuse(self._places["include", at], sentence, f"include[{at}]")
            return False
        return True

    def _refuse(self, place: Place, sentence: str, path: str = "") -> None:
        self._unreadable = True
        self._problems.append(Problem(place, path, sentence))

    def _sections(self, file: str, value: dict[str, Any], lines: dict[FieldPath, int]) -> None:
        for name, section in value.items():
            if name == "include" and file != str(self._root):
                sentence = "is read in the first file only: move it there"
                self._problems.append(Problem(Place(file, lines[name,]), name, sentence))
            elif section is not None:
                self._section(
                    name, section, {p: Place(file, n) for p, n in lines.items() if p[:1] == (name,)}
                )

    def _section(self, name: str, section: Any, places: dict[FieldPath, Place]) -> None:
        there = self._value.get(name)
        if there is None:
            self._value[name] = section
            self._places |= places
        elif isinstance(there, dict) and isinstance(section, dict):
            self._named(name, there, section, places)
        elif isinstance(there, list) and isinstance(section, list):
            shift = len(there)
            there.extend(section)
            self._places |= {_shifted(path, shift): place for path, place in places.items()}
        else:
            first = self._places[name,]
            sentence = f"is written in another form in {first.file}:{first.line}; use the same"
            self._problems.append(Problem(places[name,], name, sentence))

    def _named(
        self,
        section: str,
        there: dict[str, Any],
        more: dict[str, Any],
        places: dict[FieldPath, Place],
    ) -> None:
        for name in [name for name in more if name in there]:
            first = self._places[section, name]
            sentence = f"is also defined in {first.file}:{first.line}; remove or rename one of them"
            self._problems.append(
                Problem(places[section, name], written((section, name)), sentence)
            )
            places = {path: place for path, place in places.items() if path[:2] != (section, name)}
        there |= {name: value for name, value in more.items() if name not in there}
        for path, place in places.items():
            self._places.setdefault(path, place)


def _shifted(path: FieldPath, shift: int) -> FieldPath:
    section, *rest = path
    if not rest or not isinstance(rest[0], int):
        return path
    return (section, rest[0] + shift, *rest[1:])


def _paths(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    found = dict.fromkeys([root])
    for pattern in patterns:
        found |= dict.fromkeys(_matches(root.parent, pattern))
    return list(found)[: MAXIMUM_FILES + 1]


def _matches(directory: Path, pattern: str) -> list[Path]:
    if "\0" in pattern:
        raise ValueError("it holds a zero byte")
    if not _is_pattern(pattern):
        return [directory / pattern]
    start = Path(Path(pattern).anchor) if Path(pattern).is_absolute() else directory
    relative = pattern.removeprefix(Path(pattern).anchor)
    return sorted(path for path in start.glob(relative) if path.is_file())


def _is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[")


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAXIMUM_BYTES + 1)
    except OSError:
        return None
