"""Numbers of credit cards and bank accounts, told from others by their checksums."""

from meshgate.guardrails.matching import Kind, Matcher, PatternMatcher, Span
from meshgate.guardrails.neighbours import after, before, is_word

_CARD = r"\b[0-9](?:[ -]?[0-9]){12,18}\b"
_LEAST_DIGITS = 13

# The first digits that a network issues, from and to, and how many digits its numbers have.
_NETWORKS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (13, 16, 19)),
    (51, 55, (16,)),
    (2221, 2720, (16,)),
    (34, 34, (15,)),
    (37, 37, (15,)),
    (6011, 6011, (16, 17, 18, 19)),
    (644, 659, (16, 17, 18, 19)),
    (3528, 3589, (16, 17, 18, 19)),
    (300, 305, (14,)),
    (36, 36, (14,)),
    (38, 39, (14,)),
    (62, 62, (16, 17, 18, 19)),
    (81, 81, (16, 17, 18, 19)),
)


def _card(data: bytes, start: int, end: int) -> Span | None:
    """The longest number that a network may have issued, of the digits that stand together."""
    if before(data, start) in (b".", b"-"):
        return None
    places = [at for at in range(start, end) if data[at : at + 1].isdigit()]
    digits = bytes(data[at] for at in places)
    for count in range(len(digits), _LEAST_DIGITS - 1, -1):
        stop = places[count - 1] + 1
        if not is_word(after(data, stop)) and _is_card(digits[:count]):
            return start, stop
    return None


def _is_card(digits: bytes) -> bool:
    for first, last, counts in _NETWORKS:
        if len(digits) in counts and first <= int(digits[: len(str(first))]) <= last:
            return len(set(digits)) > 1 and _luhn(digits)
    return False


def _luhn(digits: bytes) -> bool:
    """Whether the last digit is what the others make it."""
    values = [byte - 48 for byte in reversed(digits)]
    doubled = [sum(divmod(2 * value, 10)) for value in values[1::2]]
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


_IBAN = r"\b[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}\b"
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FK FO GL NL SD",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH CR HR LI LV",
        "22": "BG BH DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for country in countries.split()
}


def _iban(data: bytes, start: int, end: int) -> Span | None:
    """As many characters as the country's numbers have, if they check."""
    length = _IBAN_LENGTHS.get(data[start : start + 2].decode("ascii").upper(), 0)
    places = [at for at in range(start, end) if data[at] != 32][:length]  # noqa: PLR2004 - spaces
    if not length or len(places) < length:
        return None
    stop = places[-1] + 1
    number = bytes(data[at] for at in places).decode("ascii").upper()
    remainder = int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97
    return (start, stop) if remainder == 1 and not is_word(after(data, stop)) else None


CREDIT_CARD: Matcher = PatternMatcher(Kind.named("credit-card"), _CARD, check=_card)
IBAN: Matcher = PatternMatcher(Kind.named("iban"), _IBAN, check=_iban)
