"""Showing a plain text with its findings masked, while it is written."""

from meshgate.guardrails.ruleset import Ruleset
from meshgate.guardrails.scanner import Note, Scanner


class TextChannel:
    """A text that comes in parts and goes out masked.

    Args:
        rules: What to look for.
        note: Is told what was found.
    """

    def __init__(self, rules: Ruleset, note: Note) -> None:
        self._scanner = Scanner(rules, note)
        self._held = b""

    @property
    def holds(self) -> bool:
        """Whether something is held back."""
        return bool(self._held)

    def feed(self, data: bytes, *, final: bool) -> bytes:
        """Take more of it; give what may be shown now."""
        self._held += data
        shown = bytearray()
        at = 0
        for length, instead in self._scanner.feed(data, final=final):
            shown += self._held[at : at + length] if instead is None else instead
            at += length
        self._held = self._held[at:]
        return bytes(shown)
