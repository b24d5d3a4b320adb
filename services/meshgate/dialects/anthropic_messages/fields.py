"""The members of a request for a message, by what becomes of them in the neutral form.

What stands in neither set is unknown here, or only steers Anthropic (`service_tier`, `speed`,
`inference_geo`): it passes through `extra_json`.
"""

EXPRESSED = frozenset(
    {
        "model",
        "messages",
        "system",
        "max_tokens",
        "metadata",
        "stop_sequences",
        "stream",
        "temperature",
        "top_p",
        "top_k",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
    }
)

# Refused of what is translated: answers to them hold blocks that nobody else knows.
REFUSED = frozenset({"mcp_servers", "container", "context_management", "diagnostics"})

OWN_NAMES: dict[str, str] = {
    "messages[]": "messages",  # the system prompt is one there, and results of tools are some
    "messages[].parts[]": "messages.content",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "max_output_tokens": "max_tokens",
    "reasoning_effort": "output_config.effort",
    "reasoning_budget_tokens": "thinking",
    "shows_reasoning": "thinking.display",
    "response_format": "output_config.format",
    "user": "metadata.user_id",
}
"""What its callers call what the neutral form calls otherwise."""

# Values of members that ask for what is usual, and for nothing that another upstream lacks.
USUAL: dict[str, tuple[bytes, ...]] = {
    "service_tier": (b'"auto"',),
    "speed": (b'"standard"',),
}
