"""What is wrong with a configuration, and where."""

from dataclasses import dataclass
from typing import TypeAlias

FieldPath: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong.

    `path` is the field, as in `models.gpt-4o.targets[0].provider`, and empty where the whole file is
    at fault. `sentence` says what to do about it and never holds a secret.
    """

    place: Place
    path: str
    sentence: str

    def __str__(self) -> str:
        where = f"{self.place.file}:{self.place.line}"
        return ": ".join(part for part in (where, self.path, self.sentence) if part)


class ConfigurationError(Exception):
    """A configuration cannot be used. Its text has one line for each problem."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def written(path: FieldPath) -> str:
    """The path as people write it."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
