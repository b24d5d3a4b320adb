"""The members of a Cohere chat request, by what becomes of them."""

NAME = "cohere_chat"

EXPRESSED = frozenset(
    {"model", "messages", "stream", "tools", "tool_choice", "strict_tools", "response_format"}
    | {"max_tokens", "stop_sequences", "temperature", "seed", "frequency_penalty"}
    | {"presence_penalty", "k", "p", "thinking", "documents"}
)
"""What the neutral form says; others, as `safety_mode` and `citation_options`, pass as extras."""

INEXPRESSIBLE = frozenset({"logprobs", "return_prompt"})
"""What asks for an answer that cannot be translated back."""

DOCUMENT = "doc:"
"""What the ids of documents begin with; their number follows."""
