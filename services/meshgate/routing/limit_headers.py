"""How the tightest limits stand, in the headers that OpenAI's clients read."""

from collections.abc import Sequence

from meshgate.routing.peers.quota.grant import Standing, reset_text
from meshgate.routing.peers.quota.part import Part
from meshgate.runtime.errors import LimitExceededError

Headers = tuple[tuple[str, str], ...]


def limit_headers(parts: Sequence[Part]) -> Headers:
    """`x-ratelimit-*` for the tightest limit on requests and the tightest on tokens.

    What this process may still let in by itself counts as left.
    """
    headers: list[tuple[str, str]] = []
    for name in ("requests", "tokens"):
        best: Standing | None = None
        left = 0
        for part in parts:
            grant = part.grant
            standing = None if grant is None else grant.standings.get(name)
            if grant is None or standing is None:
                continue
            remaining = standing.remaining(grant.left)
            if best is None or remaining * best.amount < left * standing.amount:
                best, left = standing, remaining
        if best is not None:
            headers += (best.limit_header, (best.remaining_name, str(left)), best.reset_header)
    return tuple(headers)


def refusal_headers(error: LimitExceededError) -> Headers:
    """The same of the limit that refuses a request, where it is one on requests or on tokens."""
    kind = error.values.get("limit", "").partition("/")[0]
    name = "requests" if kind == "requests" else "tokens"
    if kind != name and not kind.endswith("_tokens"):
        return ()
    return (
        (f"x-ratelimit-limit-{name}", error.values.get("amount", "0")),
        (f"x-ratelimit-remaining-{name}", error.values.get("remaining", "0")),
        (f"x-ratelimit-reset-{name}", reset_text(error.retry_after_seconds or 0)),
    )
