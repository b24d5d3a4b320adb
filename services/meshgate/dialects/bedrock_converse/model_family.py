"""What Bedrock's model families are told outside of what Converse has for all of them.

The members of `additionalModelRequestFields` are those of each family's own API: see "Inference
request parameters and response fields for foundation models" in Bedrock's user guide, Anthropic's
Messages API, and the guides of Amazon Nova, of Cohere's models and of OpenAI's open-weight models
there. How hard to think is Converse's own member `outputConfig.effort` where no other is known. Claude
before 4.6 is told how much to think, and later that it may:
https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from msgspec import structs

from meshgate.dialects.anthropic_messages.models import traits_of
from meshgate.dialects.neutral import ChatRequest, ToolChoice, ToolChoiceMode
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.reasoning_effort import NONE, budget_of, effort_of

Members: TypeAlias = dict[str, object]

_LEAST_BUDGET_TOKENS = 1024
_OFF: Members = {"type": "disabled"}
_CHOICES = {ToolChoiceMode.REQUIRED: "any", ToolChoiceMode.NAMED: "tool"}


# Without regard to case and underscores.
_BOUNDS = frozenset(
    {"maxtokens", "maxtokencount", "maxtokenstosample", "maxnewtokens", "maxgenlen"}
    | {"maxcompletiontokens", "maxoutputtokens"}
)


@dataclass(frozen=True)
class Family:
    """Models that are told the same in the same way.

    Attributes:
        top_k: How they are told to choose among so many tokens; None where they cannot be.
        effort: How they are told how hard to think; None where Converse's own member says it.
        takes_budget: Whether they are told how much to think at most, and not how hard.
        is_adaptive: Whether they think as they are told with a member of their own that they may.
        is_claude: Whether they are Claude, which can be told not to call tools, or only one.
    """

    top_k: Callable[[int], Members] | None = None
    effort: Callable[[str], Members] | None = None
    takes_budget: bool = False
    is_adaptive: bool = False
    is_claude: bool = False


def _nova_effort(effort: str) -> Members:
    if effort == NONE:
        return {"reasoningConfig": {"type": "disabled"}}
    if effort not in ("low", "medium", "high"):
        raise unsupported("reasoning_effort")
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}


CLAUDE = Family(top_k=lambda k: {"top_k": k}, takes_budget=True, is_claude=True)
_LATER_CLAUDE = replace(CLAUDE, takes_budget=False, is_adaptive=True)
_FAMILIES = {
    "anthropic.": CLAUDE,
    "amazon.nova": Family(
        top_k=lambda k: {"inferenceConfig": {"topK": k}},
        effort=_nova_effort,
    ),
    "cohere.": Family(top_k=lambda k: {"k": k}),
    "mistral.": Family(top_k=lambda k: {"top_k": k}),
    "openai.": Family(effort=lambda effort: {"reasoning_effort": effort}),
}
_OTHER = Family()


def family_of(model: str) -> Family:
    """The family of a model, by its id, the id of an inference profile, or an ARN of either.

    Application inference profiles and provisioned models do not say what they are: they are told what
    Converse has for all.
    """
    family = next((it for mark, it in _FAMILIES.items() if mark in model), _OTHER)
    return _LATER_CLAUDE if family.is_claude and traits_of(model).is_adaptive else family


def in_terms_of(family: Family, request: ChatRequest) -> ChatRequest:
    """The request with what it says of thinking in the one way that the family is told it.

    Raises:
        UnsupportedError: It is an effort that nobody knows in tokens.
    """
    effort, tokens = request.reasoning_effort, request.reasoning_budget_tokens
    if not family.takes_budget:
        effort, tokens = effort_of(effort, tokens), None
        if family.is_claude and effort == "minimal":
            effort = "low"
    elif effort is not None:
        effort, tokens = None, budget_of(tokens, effort)
        if tokens is None:
            raise unsupported("reasoning_effort")
    return structs.replace(request, reasoning_effort=effort, reasoning_budget_tokens=tokens)


def is_bound(name: str) -> bool:
    """Whether a family says by this member how much may be written."""
    return name.casefold().replace("_", "") in _BOUNDS


def own_members(request: ChatRequest, family: Family, *, has_tool_use: bool) -> Members:
    """What `additionalModelRequestFields` must say, of a request in the family's terms.

    Raises:
        UnsupportedError: The family cannot be told something.
    """
    members: Members = {}
    if request.top_k is not None:
        if family.top_k is None:
            raise unsupported("top_k")
        members |= family.top_k(request.top_k)
    members |= _thinking(request, family)
    return members | _tool_choice(request, family, has_tool_use=has_tool_use)


def own_effort(request: ChatRequest, family: Family) -> str | None:
    """What Converse's own member for the effort must say; None where it is not the one to say it.

    Raises:
        UnsupportedError: It knows no such effort.
    """
    effort = request.reasoning_effort
    if effort is None or family.effort is not None or (effort == NONE and family.is_adaptive):
        return None
    if effort in (NONE, "minimal"):
        raise unsupported("reasoning_effort")
    return effort


def _thinking(request: ChatRequest, family: Family) -> Members:
    """How much to think, and that the model may; Claude takes neither where a tool must be called."""
    members: Members = {}
    if request.reasoning_budget_tokens is not None:
        members |= _budget(request.reasoning_budget_tokens, request.max_output_tokens)
    if request.reasoning_effort is not None:
        members |= _effort(request.reasoning_effort, family)
    if family.is_claude and request.must_call and members.get("thinking") != _OFF:
        members.pop("thinking", None)
    return members


def _budget(tokens: int, at_most: int | None) -> Members:
    if tokens == 0:
        return {"thinking": _OFF}
    # The budget must be less than all that may be written, which the gateway may have lowered.
    if at_most is not None and tokens >= at_most > _LEAST_BUDGET_TOKENS:
        tokens = at_most - 1
    tokens = max(_LEAST_BUDGET_TOKENS, tokens)
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def _effort(effort: str, family: Family) -> Members:
    if family.effort is not None:
        return family.effort(effort)
    if not family.is_adaptive:
        return {}
    return {"thinking": _OFF if effort == NONE else {"type": "adaptive"}}


def is_chosen_by_family(request: ChatRequest, family: Family, *, has_tool_use: bool) -> bool:
    """Whether Converse's own `toolChoice` cannot say which tools may be called, and how many."""
    if not request.tools:
        return False
    if request.tool_choice is not None and request.tool_choice.mode is ToolChoiceMode.NONE:
        return has_tool_use
    # Where only one tool can be called it is a hint, which those are told who can be.
    return request.parallel_tool_calls is False if family.is_claude else request.must_call_singly


def _tool_choice(request: ChatRequest, family: Family, *, has_tool_use: bool) -> Members:
    if not is_chosen_by_family(request, family, has_tool_use=has_tool_use):
        return {}
    choice = request.tool_choice or ToolChoice(mode=ToolChoiceMode.AUTO)
    if not family.is_claude:
        is_none = choice.mode is ToolChoiceMode.NONE
        raise unsupported("tool_choice" if is_none else "parallel_tool_calls")
    if choice.mode is ToolChoiceMode.NONE:
        return {"tool_choice": {"type": "none"}}
    written: Members = {"type": _CHOICES.get(choice.mode, "auto")}
    if choice.name:
        written["name"] = choice.name
    return {"tool_choice": written | {"disable_parallel_tool_use": True}}
