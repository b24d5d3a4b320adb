"""How the tightest limits stand, in the headers that OpenAI's clients read."""

from collections.abc import Sequence

from meshgate.routing.peers.quota.grant import Grant, Standing, reset_text
from meshgate.routing.peers.quota.part import Part
from meshgate.runtime.errors import LimitExceededError

Headers = tuple[tuple[str, str], ...]


def limit_headers(parts: Sequence[Part]) -> Headers:
    """`x-ratelimit-*` for the tightest limit on requests and the tightest on tokens.

    What this process may still let in by itself counts as left.
    """
    headers: Headers = ()
    grants = [part.grant for part in parts if part.grant is not None]
    for name in ("requests", "tokens"):
        found = _tightest(grants, name)
        if found is not None:
            standing, remaining = found
            headers += (
                (f"x-ratelimit-limit-{name}", standing.amount_text),
                (f"x-ratelimit-remaining-{name}", str(remaining)),
                (f"x-ratelimit-reset-{name}", standing.reset_text),
            )
    return headers


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


def _tightest(grants: Sequence[Grant], name: str) -> tuple[Standing, int] | None:
    """The limit of which the least share is left, and how much that is."""
    best: tuple[Standing, int] | None = None
    for grant in grants:
        standing = grant.standings.get(name)
        if standing is None:
            continue
        remaining = standing.remaining(grant.left)
        if best is None or remaining * best[0].amount < best[1] * standing.amount:
            best = (standing, remaining)
    return best
