"""What is asked for in each dialect, in a word of OpenTelemetry's, where it has one.

https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/: `gen_ai.operation.name`.
"""

_OPERATIONS = {
    "openai_completions": "text_completion",
    "gemini_generate": "generate_content",
    "openai_embeddings": "embeddings",
    "gemini_embeddings": "embeddings",
    # OpenTelemetry has no words for these yet.
    "anthropic_token_count": "count_tokens",
    "gemini_token_count": "count_tokens",
    "openai_images": "image_generation",
    "openai_image_edits": "image_edit",
    "openai_transcriptions": "transcription",
    "openai_translations": "translation",
    "openai_speech": "speech",
    "openai_moderations": "moderation",
    "rerank": "rerank",
}


def operation_in(dialect: str) -> str:
    """The word for what a dialect asks for."""
    return _OPERATIONS.get(dialect, "chat")
