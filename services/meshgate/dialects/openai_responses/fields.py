"""The members of a request for a response, by what becomes of them in the neutral form.

What stands in none of the sets is unknown here, or only steers the upstream (`service_tier`, ...): it
passes through `extra_json`.
"""

EXPRESSED = frozenset(
    {
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "text",
        "reasoning",
        "include",
        "max_output_tokens",
        "temperature",
        "top_p",
        "metadata",
        "user",
        # Nothing is kept, which is said to each upstream anew.
        "store",
        # How the answer travels is agreed on with each upstream anew. All that the options do is to
        # pad events, so that their lengths tell nothing: a translated stream is not padded.
        "stream",
        "stream_options",
    }
)

OWN_NAMES: dict[str, str] = {
    "messages[]": "input",  # several items are one message there
    "messages[].parts[]": "input.content",
    "tools[].custom": "tools[].type",
    "response_format": "text.format",
    "response_format.json_schema": "text.format",
    "verbosity": "text.verbosity",
    "reasoning_effort": "reasoning.effort",
    "shows_reasoning": "reasoning.summary",
}
"""What its callers call what the neutral form calls otherwise."""

# These need responses that somebody has kept: each with the values that ask for nothing.
STORED: dict[str, tuple[bytes, ...]] = {
    "previous_response_id": (),
    "conversation": (),
    "prompt": (),
    "background": (b"false",),
    "store": (b"false",),
}

# Refused: the neutral form cannot hold what they ask, or what the upstream would answer. Each with
# the values that ask for nothing.
INEXPRESSIBLE: dict[str, tuple[bytes, ...]] = {
    "top_logprobs": (b"0",),  # no place for probabilities
    "truncation": (b'"disabled"',),  # nobody else leaves out what is too long
    "max_tool_calls": (),  # of tools that OpenAI runs
    "context_management": (b"[]",),  # its answers carry what only OpenAI can read
    "moderation": (),  # its answers carry verdicts
    "background_options": (b"{}",),
}

# What these mean is the same in both of OpenAI's APIs for chats.
SHARED: dict[str, frozenset[str]] = {
    "openai_chat": frozenset(
        {"service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
    )
}
