"""How an upstream's chat completions differ from OpenAI's own."""

import enum

from msgspec import Struct

from meshgate.dialects.openai_api.output_bound import OutputBound


class ThoughtPlace(enum.Enum):
    """Where an upstream is told what the model has thought before."""

    NOWHERE = "nowhere"
    REASONING_CONTENT = "reasoning_content"
    REASONING = "reasoning"
    REASONING_DETAILS = "reasoning_details"


class ThoughtTime(enum.Enum):
    """Which earlier thoughts an upstream is told."""

    ALWAYS = "always"
    WITH_TOOL_CALLS = "with_tool_calls"


class EffortPlace(enum.Enum):
    """Where an upstream is told how hard to think."""

    REASONING_EFFORT = "reasoning_effort"
    REASONING = "reasoning"


class Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is particular to an upstream; as it stands here, a server that nobody knows more of.

    Attributes:
        output_bound: How it is told how much it may write, where the caller does not say.
        only_bound: Whether it knows no other bound, so that what the caller sets is renamed.
        renamed: The members that have another name there, by OpenAI's.
        words: Values that are other words there, by member.
        refused: Members of OpenAI's that it does not take. A translated request that asks for something
            by one of them is refused.
        steering: Members by which a request could have itself answered by other models than the one that its
            key may use, as OpenRouter and LiteLLM have them. They are refused, also where bytes pass.
        taken: Members that OpenAI does not take, and it does: `top_k`.
        thoughts: Where it wants to have earlier thoughts.
        thoughts_sent: And which of them.
        effort: Where it is told how hard to think.
        asks_usage: Whether streams must be asked for the usage; it comes by itself where not.
        custom_tools: Whether it knows tools that take text.
        pictures_in_results: Whether the result of a tool may hold pictures.
        speaker_names: Whether messages may name who speaks.
    """

    output_bound: OutputBound = OutputBound.MAX_TOKENS
    only_bound: bool = False
    renamed: dict[str, str] = {}
    words: dict[str, dict[str, str]] = {}
    refused: frozenset[str] = frozenset()
    steering: frozenset[str] = frozenset({"models", "fallbacks"})
    taken: frozenset[str] = frozenset({"top_k"})
    thoughts: ThoughtPlace = ThoughtPlace.REASONING_CONTENT
    thoughts_sent: ThoughtTime = ThoughtTime.ALWAYS
    effort: EffortPlace = EffortPlace.REASONING_EFFORT
    asks_usage: bool = True
    custom_tools: bool = True
    pictures_in_results: bool = False
    speaker_names: bool = True

    @property
    def changes_names(self) -> bool:
        """Whether a request that OpenAI would take has to be written in other words."""
        return bool(self.renamed or self.words or self.only_bound or not self.asks_usage)


OPENAI = Variant(
    output_bound=OutputBound.MAX_COMPLETION_TOKENS,
    taken=frozenset(),
    thoughts=ThoughtPlace.NOWHERE,
)
"""OpenAI itself, which keeps the thoughts of its models to itself in this API."""
