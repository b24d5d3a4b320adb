"""The Lua scripts that count, one for each verb, each composed of what they share and its own part."""

import hashlib
from dataclasses import dataclass, field
from importlib.resources import files

_SHARED = ("call", "counters", "grants", "admission", "write")


@dataclass(frozen=True)
class Script:
    """A script as it is sent.

    Attributes:
        name: Its verb.
        text: All of it.
        sha: What the server knows it by, once it was loaded.
    """

    name: str
    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode()).hexdigest())  # noqa: S324 - a name


def load(name: str) -> Script:
    """The script of a verb."""
    directory = files("meshgate.quota") / "scripts"
    parts = [(directory / f"{part}.lua").read_text() for part in (*_SHARED, name)]
    # With this first line a server that has no memory left refuses all of a script, not a part of it.
    return Script(name, "#!lua\n" + "\n".join(parts))


HOLD, EXTEND, RELEASE, SETTLE, SWEEP = map(load, ("hold", "extend", "release", "settle", "sweep"))
