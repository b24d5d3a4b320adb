"""What a client says about answers that are kept: its `cache-control` header."""

import re

from msgspec import Struct

_LONGEST = 1_000
_MAX_AGE = re.compile(r'"?(?P<seconds>\d{1,9})"?', re.ASCII)


class CacheControl(Struct, frozen=True):
    """What a client wants.

    Attributes:
        wants_fresh: Whether it wants no answer that is kept: `no-cache`, or `max-age=0`.
        forbids_keeping: Whether its answer must not be kept: `no-store`.
        max_age_seconds: How old an answer may be; None for any age.
    """

    wants_fresh: bool = False
    forbids_keeping: bool = False
    max_age_seconds: int | None = None

    @classmethod
    def read(cls, header: str) -> "CacheControl":
        """Read the header. What is not known, or makes no sense, is passed over, as in HTTP."""
        if not header:
            return NOTHING_SAID
        directives: dict[str, str] = {}
        for directive in header[:_LONGEST].lower().split(","):
            name, _, value = directive.partition("=")
            directives.setdefault(name.strip(), value.strip())
        found = _MAX_AGE.fullmatch(directives.get("max-age", ""))
        max_age = int(found["seconds"]) if found else None
        return cls(
            wants_fresh="no-cache" in directives or max_age == 0,
            forbids_keeping="no-store" in directives,
            max_age_seconds=max_age,
        )


NOTHING_SAID = CacheControl()
