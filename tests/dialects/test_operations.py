"""The words that metrics and traces have for what is asked for."""

import pytest

from meshgate.dialects.operations import operation_in
from meshgate.dialects.translation import CALLER_DIALECTS
from meshgate.v1 import provider_service_pb2 as pb

NAMES = [name.removeprefix("DIALECT_").lower() for name, number in pb.Dialect.items() if number]


@pytest.mark.parametrize(
    ("dialect", "word"),
    [
        ("openai_chat", "chat"),
        ("openai_responses", "chat"),
        ("anthropic_messages", "chat"),
        ("openai_completions", "text_completion"),
        ("gemini_generate", "generate_content"),
        ("gemini_embeddings", "embeddings"),
        ("gemini_token_count", "count_tokens"),
        ("openai_speech", "speech"),
    ],
)
def test_what_is_asked_for_has_a_word(dialect: str, word: str) -> None:
    assert operation_in(dialect) == word


@pytest.mark.parametrize("dialect", sorted({*NAMES} - {*CALLER_DIALECTS}))
def test_what_is_no_chat_is_not_called_one(dialect: str) -> None:
    assert operation_in(dialect) != "chat"
