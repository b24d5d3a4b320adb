"""E-mail addresses, phone numbers, social security numbers and IP addresses."""

import ipaddress
import re

from meshgate.guardrails.matching import Kind, Matcher, PatternMatcher, Span
from meshgate.guardrails.neighbours import after, before, is_word

# Latin, Greek and Cyrillic letters: so that müller@example.com is one address.
_LETTERS = r"A-Za-z\x{C0}-\x{24F}\x{370}-\x{52F}"
_EMAIL = (
    rf"[{_LETTERS}0-9](?:[{_LETTERS}0-9._%+'-]{{0,63}})"
    rf"@(?:[{_LETTERS}0-9](?:[{_LETTERS}0-9-]{{0,62}})\.){{1,4}}[A-Za-z]{{2,24}}"
)


def _email(data: bytes, start: int, end: int) -> Span | None:
    if is_word(after(data, end)) or b".." in data[start:end]:
        return None
    return start, end


# After +, the country; then an area in brackets perhaps, and groups of digits.
_INTERNATIONAL = r"(?:\+|00)[1-9][0-9]{0,2}(?:[ .()/-]{0,2}[0-9]){5,12}"
_AMERICAN = r"(?:1[-. ])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-. ])[2-9][0-9]{2}[-. ][0-9]{4}"
_NATIONAL = r"\(?0[1-9][0-9]{0,3}(?:\)|\) |[ /-])[0-9]{2,4}(?:[ -]?[0-9]{2,4}){1,4}"
_FRENCH = r"0[1-9](?:\.[0-9]{2}){4}"
_PHONE = f"{_INTERNATIONAL}|{_AMERICAN}|{_NATIONAL}|{_FRENCH}"
_LAST_GROUP = re.compile(rb"[ .()/-]*[0-9]+\Z")
_DATE = re.compile(rb"0?\d{1,2}[ /-]\d{1,2}[ /-](?:19|20)\d{2}\b")


def _phone(data: bytes, start: int, end: int) -> Span | None:
    left = before(data, start)
    if is_word(left) or left in (b"+", b"-"):
        return None
    text = data[start:end]
    if is_word(after(data, end)):
        # What follows is another number, or none of this is one.
        text = _LAST_GROUP.sub(b"", text)
    count = sum(byte in b"0123456789" for byte in text)
    least, most = _digit_counts(text)
    if not least <= count <= most or text.count(b"(") != text.count(b")") or _DATE.match(text):
        return None
    return start, start + len(text)


def _digit_counts(text: bytes) -> tuple[int, int]:
    """The fewest and the most digits that a number of its shape has."""
    if text.startswith(b"+"):
        return 8, 15
    return (11, 15) if text.startswith(b"00") else (9, 12)


_SSN = r"[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}"
_NAMED_SSN = r"(?i:ssn|social security(?: number| no\.?)?)(?:[:#]| is)?[ ]?[0-9]{9}"
_UNGIVEN_SSNS = (b"078051120", b"219099999", b"123456789", b"987654321")


def _ssn(data: bytes, start: int, end: int) -> Span | None:
    if _joins(before(data, start)) or _joins(after(data, end)):
        return None
    text = data[start:end]
    first = start if text[:1].isdigit() else end - 9
    if first == start and text[3] != text[6]:
        return None
    digits = bytes(byte for byte in data[first:end] if byte in b"0123456789")
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in (b"000", b"666") or area >= b"900" or group == b"00" or serial == b"0000":
        return None
    return None if digits in _UNGIVEN_SSNS else (first, end)


def _joins(character: bytes) -> bool:
    return is_word(character) or character == b"-"


_IPV4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:\.[0-9])?"
_IPV6 = r"(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{1,4}|:)?"


def _ip_address(data: bytes, start: int, end: int) -> Span | None:
    left, right = before(data, start), after(data, end)
    if is_word(left) or left in (b".", b":") or is_word(right) or right == b":":
        return None
    text = data[start:end].decode("ascii")
    if text.endswith(":") and not text.endswith("::"):
        text = text[:-1]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.version == 6 and not _is_address_and_no_name(text):  # noqa: PLR2004
        return None
    return start, start + len(text)


def _is_address_and_no_name(text: str) -> bool:
    """Not what programs write between names, as in a::b."""
    return any(character.isdigit() for character in text) and len(text.replace(":", "")) > 1


EMAIL: Matcher = PatternMatcher(Kind.named("email"), _EMAIL, 640, _email)
PHONE: Matcher = PatternMatcher(Kind.named("phone"), _PHONE, check=_phone)
US_SSN: Matcher = PatternMatcher(Kind.named("us-ssn"), rf"\b(?:{_SSN}|{_NAMED_SSN})\b", check=_ssn)
IP_ADDRESS: Matcher = PatternMatcher(
    Kind.named("ip-address"), f"{_IPV4}|{_IPV6}", check=_ip_address
)
