"""How the tightest limits stand, in the headers that OpenAI's clients read."""

from collections.abc import Iterable

from meshgate.routing.peers.quota.part import Part
from meshgate.runtime.duration import seconds_of
from meshgate.v1 import limit_pb2
from meshgate.v1 import quota_service_pb2 as pb

Headers = tuple[tuple[str, str], ...]

_SHORTEST_SECONDS = 1.0


def limit_headers(parts: Iterable[Part]) -> Headers:
    """`x-ratelimit-*` for the tightest limit on requests and the tightest on tokens.

    What this process may still let in by itself counts as left.
    """
    tightest: dict[str, tuple[float, pb.LimitState, int]] = {}
    for part in parts:
        grant = part.grant
        if grant is None:
            continue
        for state in grant.states:
            requests = state.limit.kind == limit_pb2.LIMIT_KIND_REQUESTS
            left = grant.left
            spare = left.requests if requests else left.input_tokens + left.output_tokens
            remaining = state.remaining + spare
            share = remaining / (state.limit.amount or 1)
            name = "requests" if requests else "tokens"
            if name not in tightest or share < tightest[name][0]:
                tightest[name] = (share, state, remaining)
    headers: Headers = ()
    for name, (_, state, remaining) in tightest.items():
        headers += (
            (f"x-ratelimit-limit-{name}", str(state.limit.amount)),
            (f"x-ratelimit-remaining-{name}", str(min(remaining, state.limit.amount))),
            (f"x-ratelimit-reset-{name}", reset_text(seconds_of(state.reset))),
        )
    return headers


def reset_text(seconds: float) -> str:
    """A time as OpenAI writes it: `120ms`, `1s`, `6m0s`, `24h0m0s`."""
    if seconds < _SHORTEST_SECONDS:
        return f"{max(0, round(seconds * 1000))}ms"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{whole}s"
    return f"{minutes}m{whole}s" if minutes else f"{whole}s"
