"""The members of a Converse request, by what becomes of them."""

NAME = "bedrock_converse"

EXPRESSED = frozenset(
    {
        "modelId",
        "messages",
        "system",
        "inferenceConfig",
        "toolConfig",
        "requestMetadata",
        "outputConfig",
    }
)
"""What the neutral form says; the others pass through `extra_json`."""

INEXPRESSIBLE = frozenset({"additionalModelResponseFieldPaths"})
"""What asks for an answer that cannot be translated back."""

SHARED = frozenset({"service_tier"})
"""What requests of other dialects say and Converse has in its own way."""
