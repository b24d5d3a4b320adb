"""Finds the behaviour for a request: a directive in it, else a script, else the default."""

from dataclasses import dataclass, field

from upstream.behaviours import Behaviour, Match, Script, directives, prompt, read_script
from upstream.gate import Gate
from upstream.records import Request


@dataclass
class _Entry:
    script: Script
    gate: Gate | None = None
    uses: int = 0

    def takes(self, request: Request) -> bool:
        """Whether this is for the request; counts as a use if so."""
        if self.script.times is not None and self.uses >= self.script.times:
            return False
        if not matches(self.script.match, request):
            return False
        self.uses += 1
        return True


@dataclass
class Scripts:
    """What the fake upstream was told to do; the first script that fits is taken."""

    default: Behaviour = field(default_factory=Behaviour)
    _entries: list[_Entry] = field(default_factory=list)
    _directives: dict[str, _Entry] = field(default_factory=dict)

    def add(self, script: Script, gate: Gate | None = None) -> None:
        self._entries.append(_Entry(script, gate))

    def reset(self) -> None:
        self._entries.clear()
        self._directives.clear()

    def find(self, request: Request) -> tuple[Behaviour, Gate | None]:
        """Raises msgspec.DecodeError for a directive that is no script."""
        for entry in [*self._named_in(request), *self._entries]:
            if entry.takes(request):
                return entry.script.behaviour, entry.gate
        return self.default, None

    def _named_in(self, request: Request) -> list[_Entry]:
        """The entries of a prompt's directives; equal directives share their count of uses."""
        texts = directives(prompt(request.body))
        for text in texts:
            if text not in self._directives:
                self._directives[text] = _Entry(read_script(text))
        return [self._directives[text] for text in texts]


def matches(match: Match, request: Request) -> bool:
    """Whether a request is one of those meant."""
    body = request.body if isinstance(request.body, dict) else {}
    form = "streamed" if request.streamed else "plain"
    return (
        (match.text is None or match.text in prompt(body))
        and match.model in (None, body.get("model"))
        and request.path.endswith(match.path or "")
        and (match.header is None or request.header(match.header[0]) == match.header[1])
        and match.form in (None, form)
    )
