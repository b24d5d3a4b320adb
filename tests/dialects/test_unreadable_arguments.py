"""Arguments of tool calls that cannot be read: the upstream's mistake, whoever asked."""

import pytest

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.translation import translator

ANTHROPIC = b"""{"id": "m", "model": "m", "stop_reason": "tool_use", "content":
    [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": "\xff"}}]}"""
RESPONSES = b"""{"id": "r", "model": "m", "status": "completed", "output":
    [{"type": "custom_tool_call", "id": "i", "call_id": "c", "name": "f", "input": %s}]}"""


@pytest.mark.parametrize(
    ("upstream", "answer"),
    [("anthropic_messages", ANTHROPIC), ("openai_responses", RESPONSES % b'"\xff"')],
)
def test_an_answer_whose_arguments_are_not_utf_8_is_none(upstream, answer):
    between = translator("openai_chat", upstream)

    with pytest.raises(MalformedAnswerError):
        between.answer(answer, created=1)


def test_what_a_custom_tool_is_given_is_a_text_or_nothing():
    answer = translator("openai_chat", "openai_responses").answer(RESPONSES % b"1e400", created=1)

    assert b'"input":""' in answer.body
