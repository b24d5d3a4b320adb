"""Looking through the texts of a request or an answer."""

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from meshgate.guardrails.findings import Finding, Tally
from meshgate.guardrails.json_channel import JsonChannel
from meshgate.guardrails.matching import Kind
from meshgate.guardrails.ruleset import Rule, Ruleset
from meshgate.guardrails.scanner import Note
from meshgate.guardrails.text_channel import TextChannel
from meshgate.runtime.errors import InvalidRequestError

MAXIMUM_CHANNELS = 1_024
# Large texts are looked through in parts, so that what is kept of them beside them stays small.
_PART_CHARACTERS = 1 << 16


class TextKind(enum.Enum):
    """What a text is."""

    WORDS = "words"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class TextSegment:
    """One text, and where it stands."""

    locator: str
    kind: TextKind
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may pass: nothing if something blocks, else all with `changed` in place of its own."""

    changed: tuple[TextSegment, ...]
    findings: tuple[Finding, ...]
    block: Finding | None


def check(rules: Ruleset, segments: Sequence[TextSegment]) -> Verdict:
    """Look through texts that are whole."""
    tally = Tally()
    shown = [replace(each, text=_shown(rules, each, tally)) for each in segments]
    changed = tuple(new for old, new in zip(segments, shown, strict=True) if old.text != new.text)
    return Verdict(() if tally.block else changed, tuple(tally.findings()), tally.block)


def _shown(rules: Ruleset, segment: TextSegment, tally: Tally) -> str:
    channel = _channel(rules, segment.kind, _noted(tally, segment.locator))
    return _feed(channel, segment.text, final=True)


Channel: TypeAlias = TextChannel | JsonChannel


def _channel(rules: Ruleset, kind: TextKind, note: Note) -> Channel:
    return JsonChannel(rules, note) if kind is TextKind.JSON else TextChannel(rules, note)


def _feed(channel: Channel, text: str, *, final: bool) -> str:
    shown = bytearray()
    at = 0
    while at + _PART_CHARACTERS < len(text):
        part = text[at : at + _PART_CHARACTERS].encode()
        shown += channel.feed(part, final=False)
        at += _PART_CHARACTERS
    shown += channel.feed(text[at:].encode(), final=final)
    return shown.decode()


def _noted(tally: Tally, locator: str) -> Note:
    def note(rule: Rule, kind: Kind) -> None:
        tally.add(Finding(rule.name, kind.detector, rule.action, rule.shadow, locator))

    return note


class AnswerCheck:
    """Looks through the texts of one answer while it is written.

    When something blocks, `block` says what; nothing more is shown then.

    Args:
        rules: What to look for.
    """

    def __init__(self, rules: Ruleset) -> None:
        self._rules = rules
        self._tally = Tally()
        self._channels: dict[str, tuple[TextKind, Channel]] = {}
        self._ended: set[str] = set()

    @property
    def block(self) -> Finding | None:
        """What blocks, if anything does."""
        return self._tally.block

    def findings(self) -> Iterable[Finding]:
        """What was found so far."""
        return self._tally.findings()

    def text(self, name: str, kind: TextKind, text: str, *, last: bool) -> str:
        """Take more text of a channel; give what of the channel may be shown now.

        Raises:
            InvalidRequestError: The channel had ended, or was of another kind; or there are more
                than MAXIMUM_CHANNELS.
        """
        channel = self._opened(name, kind)
        if last:
            self._ended.add(name)
        return self._unless_blocked(_feed(channel, text, final=last))

    def end(self) -> Iterator[tuple[str, str]]:
        """Give the rest of each channel from which something was held back; stop where one blocks."""
        for name, (_, channel) in self._channels.items():
            if name not in self._ended and channel.holds:
                shown = self._unless_blocked(_feed(channel, "", final=True))
                if self.block is not None:
                    return
                yield name, shown

    def _opened(self, name: str, kind: TextKind) -> Channel:
        if name in self._ended:
            raise InvalidRequestError("there is text of a channel after its last", field="channel")
        if name not in self._channels:
            if len(self._channels) == MAXIMUM_CHANNELS:
                raise InvalidRequestError(
                    f"there are more than {MAXIMUM_CHANNELS} channels", field="channel"
                )
            channel = _channel(self._rules, kind, _noted(self._tally, name))
            self._channels[name] = kind, channel
        first, channel = self._channels[name]
        if first is not kind:
            raise InvalidRequestError("the kind of a channel has changed", field="kind")
        return channel

    def _unless_blocked(self, shown: str) -> str:
        return "" if self.block is not None else shown
