"""What differs between Anthropic's models, by the beginning of their names.

Figures: "Models overview" and "Extended thinking" in Anthropic's documentation
(platform.claude.com/docs/en/about-claude/models/overview), and for what is adaptive the page
"Adaptive thinking" there; looked up on 2026-11-29. Of models that are not known the least is taken
for granted.
"""

import re

from msgspec import Struct

UNKNOWN_OUTPUT_TOKENS = 8_192


class Traits(Struct, frozen=True):
    """What a model can.

    Attributes:
        output_tokens: The most that it writes in one answer.
        is_adaptive: Whether it decides by itself how much to think, and is told an effort; the others
            are told a budget.
    """

    output_tokens: int = UNKNOWN_OUTPUT_TOKENS
    is_adaptive: bool = False


# The first that fits decides. Names may carry a region and a vendor before them, as at clouds.
_KNOWN = tuple(
    (re.compile(rf"(^|[./])(?:{pattern})"), traits)
    for pattern, traits in (
        (r"claude-3-5-", Traits(8_192)),
        (r"claude-3-7-", Traits(64_000)),
        (r"claude-3-", Traits(4_096)),
        (r"claude-opus-4-[01]\b(?!\d)|claude-opus-4[-@]20", Traits(32_000)),
        (r"claude-[a-z]+-4-5", Traits(64_000)),
        (r"claude-sonnet-4[-@]20|claude-sonnet-4-0", Traits(64_000)),
        # What came later writes 64,000 at least; some of it twice as much.
        (r"claude-[a-z]+-4-[6-9]", Traits(64_000, is_adaptive=True)),
        (r"claude-[a-z]+-[5-9]", Traits(64_000, is_adaptive=True)),
    )
)


def traits_of(model: str) -> Traits:
    """What a model can, by the upstream's name for it."""
    return next((traits for pattern, traits in _KNOWN if pattern.search(model)), Traits())
