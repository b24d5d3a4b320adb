"""Showing a JSON text with the findings in its values masked, while it is written."""

import re

from meshgate.guardrails.json_grammar import Grammar
from meshgate.guardrails.json_string import WrittenText, read_escape
from meshgate.guardrails.ruleset import Ruleset
from meshgate.guardrails.scanner import Note, Scanner
from meshgate.guardrails.text_channel import TextChannel

# No number or word is longer; and so much is held back for one.
LONGEST_BARE = 256

_BLANK = re.compile(rb"[ \t\r\n]+")
_BARE = re.compile(rb"[^ \t\r\n,:\[\]{}\"]*")
_PLAIN = re.compile(rb'[^"\\]+')


class JsonChannel:
    """A JSON text that comes in parts and goes out masked: what was valid stays so.

    Each value is looked at by itself, as what it says and not as it is written. A number in which
    something is masked becomes a string. Names of members are looked at and never masked. From
    where the text is no JSON, or holds a number of more than LONGEST_BARE bytes, the rest is plain
    text.

    Args:
        rules: What to look for.
        note: Is told what was found.
    """

    def __init__(self, rules: Ruleset, note: Note) -> None:
        self._rules = rules
        self._key_rules = rules.without_masks
        self._note = note
        self._grammar = Grammar()
        self._data = b""
        self._at = 0
        self._written = WrittenText()
        self._scanner: Scanner | None = None
        self._plain: TextChannel | None = None

    @property
    def holds(self) -> bool:
        """Whether something is held back."""
        if self._plain is not None:
            return self._plain.holds
        return bool(self._data) or self._written.holds

    def feed(self, data: bytes, *, final: bool) -> bytes:
        """Take more of it; give what may be shown now."""
        self._data += data
        shown = bytearray()
        while self._goes_on(shown, final=final):
            pass
        rest, self._data, self._at = self._data[self._at :], b"", 0
        if self._plain is not None:
            shown += self._plain.feed(rest, final=final)
        else:
            self._data = rest
        return bytes(shown)

    def _goes_on(self, shown: bytearray, *, final: bool) -> bool:
        """Pass one thing on; False where more of it must come, or the text is no JSON."""
        if self._plain is not None:
            return False
        if self._scanner is not None:
            return self._string(self._scanner, shown, final=final)
        blank = _BLANK.match(self._data, self._at)
        if blank is not None:
            shown += blank[0]
            self._at = blank.end()
        return self._at < len(self._data) and self._token(shown, final=final)

    def _token(self, shown: bytearray, *, final: bool) -> bool:
        first = self._data[self._at]
        if first == ord('"'):
            return self._begin_string(shown)
        if first not in b"{}[],:":
            return self._bare(shown, final=final)
        if not self._grammar.mark(first):
            return self._end_of_json()
        shown.append(first)
        self._at += 1
        return True

    def _end_of_json(self) -> bool:
        self._plain = TextChannel(self._rules, self._note)
        return False

    def _bare(self, shown: bytearray, *, final: bool) -> bool:
        match = _BARE.match(self._data, self._at, self._at + LONGEST_BARE + 1)
        token = match[0] if match else b""
        if not self._grammar.begins_bare() or len(token) > LONGEST_BARE:
            return self._end_of_json()
        if self._at + len(token) == len(self._data) and not final:
            return False
        if not self._grammar.bare(token):
            return self._end_of_json()
        masked = TextChannel(self._rules, self._note).feed(token, final=True)
        shown += token if masked == token else b'"' + masked + b'"'
        self._at += len(token)
        return True

    def _begin_string(self, shown: bytearray) -> bool:
        is_key = self._grammar.expects_key
        if not self._grammar.string():
            return self._end_of_json()
        self._scanner = Scanner(self._key_rules if is_key else self._rules, self._note)
        shown += b'"'
        self._at += 1
        return True

    def _string(self, scanner: Scanner, shown: bytearray, *, final: bool) -> bool:
        """Pass on what there is of a string's inside, and its end."""
        said = self._said(final=final)
        is_closed = self._data[self._at : self._at + 1] == b'"'
        shown += self._written.shown(scanner.feed(said, final=is_closed or final))
        if is_closed:
            self._scanner = None
            shown += b'"'
            self._at += 1
        return is_closed

    def _said(self, *, final: bool) -> bytes:
        """Read to the string's end, or as far as escapes are whole."""
        said = bytearray()
        while self._at < len(self._data) and self._data[self._at] != ord('"'):
            plain = _PLAIN.match(self._data, self._at)
            if plain is not None:
                text, end = plain[0], plain.end()
            else:
                escape = read_escape(self._data, self._at, final=final)
                if escape is None:
                    break
                text, end = escape
            self._written.add(text, self._data[self._at : end])
            said += text
            self._at = end
        return bytes(said)
