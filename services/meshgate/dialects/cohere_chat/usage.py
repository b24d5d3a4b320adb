"""Cohere's usage, read into the neutral one.

Cohere counts twice: `tokens` is what the model took and made, and `billed_units` what is charged, which
leaves out the tokens that Cohere adds of its own (https://docs.cohere.com/docs/how-does-cohere-pricing-work).
What is charged is what counts here; thoughts are part of the output and not counted for themselves.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.counts import LooseCount, read_counts
from meshgate.dialects.neutral import Usage


class _Tokens(Struct, gc=False):
    input_tokens: LooseCount | None = None
    output_tokens: LooseCount | None = None


class _Usage(Struct, gc=False):
    billed_units: _Tokens | None = None
    tokens: _Tokens | None = None
    cached_tokens: LooseCount | None = None


_USAGE = msgspec.json.Decoder(_Usage)


def read(raw: Raw) -> Usage | None:
    """What was charged; None where the upstream did not say in a way that makes sense."""
    usage = read_counts(_USAGE, raw)
    if usage is None:
        return None
    counted = usage.billed_units or usage.tokens
    if counted is None or counted.input_tokens is None:
        return None
    input_tokens = int(counted.input_tokens)
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=min(int(usage.cached_tokens or 0), input_tokens),
        output_tokens=int(counted.output_tokens or 0),
    )
