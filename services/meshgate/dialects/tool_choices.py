"""What a request demands of tool calls, all that it says of them taken together."""

from meshgate.dialects.neutral import ChatRequest, ToolChoiceMode

_OPEN = (ToolChoiceMode.AUTO, ToolChoiceMode.REQUIRED)
_FORCED = (ToolChoiceMode.REQUIRED, ToolChoiceMode.NAMED)


def must_call(request: ChatRequest) -> bool:
    """Whether the answer must be a tool call."""
    return request.tool_choice is not None and request.tool_choice.mode in _FORCED


def must_call_singly(request: ChatRequest) -> bool:
    """Whether several tools can be called, and no two of them at once.

    Frameworks ask for one call at a time as a matter of course where they force the one tool that makes
    an answer's form: where no second tool can be called that is a hint.
    """
    mode = ToolChoiceMode.AUTO if request.tool_choice is None else request.tool_choice.mode
    return request.parallel_tool_calls is False and mode in _OPEN and len(request.tools) > 1
