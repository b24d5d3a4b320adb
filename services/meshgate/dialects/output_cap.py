"""The most that an upstream may be asked to write, where the gateway sets a bound of its own."""

import msgspec

from meshgate.dialects.neutral import ChatRequest


def lower(asked: int | None, output_cap: int) -> int:
    """What to ask for: what the caller does, but no more than the cap, in tokens.

    Some upstreams take zero and less for "as much as you like", and so does this.
    """
    return output_cap if asked is None or asked < 1 else min(asked, output_cap)


def capped(request: ChatRequest, output_cap: int | None) -> ChatRequest:
    """The request with its bound lowered; the same where there is no cap."""
    if output_cap is None:
        return request
    lowered = lower(request.max_output_tokens, output_cap)
    return msgspec.structs.replace(request, max_output_tokens=lowered)
