"""The members of a chat completion request, by what becomes of them in the neutral form.

What stands in neither set is unknown here, or only steers the upstream (`logit_bias`, `store`,
`service_tier`, ...): it passes through `extra_json`.
"""

EXPRESSED = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "max_completion_tokens",
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "reasoning_effort",
        "metadata",
        "verbosity",
        "user",
        "top_k",  # not OpenAI's, but of many servers that are compatible
        # How the answer travels is agreed on with each upstream anew.
        "stream",
        "stream_options",
    }
)

OWN_NAMES: dict[str, str] = {
    "messages[].parts[]": "messages[].content",  # hints and thoughts are parts there
    "stop_sequences": "stop",
}
"""What its callers call what the neutral form calls otherwise."""

# Those of them that requests in other terms have long said in `extra_json`, and still may.
ALSO_EXTRA = frozenset({"verbosity", "user", "top_k"})
# What these mean is the same in both of OpenAI's APIs for chats.
SHARED: dict[str, frozenset[str]] = {
    "openai_responses": frozenset(
        {"service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
    )
}

# Refused: the neutral form cannot hold what they ask, or what the upstream would answer. Each with
# the values that ask for nothing.
INEXPRESSIBLE: dict[str, tuple[bytes, ...]] = {
    "n": (b"1",),  # there is one answer
    "logprobs": (b"false",),  # no place for probabilities
    "top_logprobs": (b"0",),
    "functions": (b"[]",),  # the legacy form of tools; its answers have no ids
    "function_call": (),
    "modalities": (b'["text"]',),  # answers are text
    "audio": (),
    "prediction": (),  # a second text beside the messages, billed as output
    "web_search_options": (),  # no other dialect has it in these terms
    "moderation": (),  # its answers carry verdicts
}
