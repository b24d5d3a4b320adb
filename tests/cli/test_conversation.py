import json

import click
import pytest

from meshgate.cli.chat import Conversation
from meshgate.cli.gateway import Gateway

CHAT = "/v1/chat/completions"
ANSWER = 'data: {"choices":[{"delta":{"content":"Hello!"}}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
def conversation(gateway):
    return Conversation(Gateway(gateway.url, "mg-key", "set a key"), "demo")


def messages_of(request) -> list[dict]:
    return json.loads(request[2])["messages"]


def test_a_conversation_keeps_what_was_said(gateway, conversation):
    gateway.stream(CHAT, ANSWER)

    assert list(conversation.ask("Hi")) == ["Hello!"]
    assert list(conversation.ask("Again")) == ["Hello!"]

    assert messages_of(gateway.requests[1]) == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Again"},
    ]


def test_a_turn_that_failed_is_not_kept(gateway, conversation):
    gateway.answer(CHAT, {"error": {"message": "retry later"}}, status=503)
    with pytest.raises(click.ClickException, match="retry later"):
        list(conversation.ask("Hi"))
    gateway.stream(CHAT, ANSWER)

    list(conversation.ask("Hi again"))

    assert messages_of(gateway.requests[1]) == [{"role": "user", "content": "Hi again"}]


def test_a_gateway_never_shows_its_key():
    assert "mg-key" not in repr(Gateway("http://127.0.0.1", "mg-key", ""))
