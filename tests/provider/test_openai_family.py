"""What each provider of OpenAI's family is asked, and where."""

import json

import pytest

from meshgate.config.openai_family.members import MEMBERS
from meshgate.provider.api import Connection
from meshgate.provider.apis.catalogue import api_of

ANSWERING = {kind: it for kind, it in MEMBERS.items() if "chat" in it.answers}
ASKED = {
    "model": "m",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_completion_tokens": 5,
    "seed": 7,
    "tool_choice": "required",
    "stream": True,
}


def endpoints(kind):
    connection = Connection(kind, MEMBERS[kind].base_url, api_key="sk-12345678")
    return api_of(connection, no_client).endpoints


def no_client():
    raise AssertionError("a key needs nobody to fetch it")


def passed(kind, **members):
    sent = json.dumps(ASKED | members).encode()
    request = endpoints(kind)["openai_chat"].translator.request(sent, "it", stream=True)
    return json.loads(request.body)


@pytest.mark.parametrize("kind", ANSWERING)
def test_a_member_answers_where_its_file_says(kind):
    found, member = endpoints(kind), MEMBERS[kind]

    assert found["openai_chat"].url == f"{member.base_url}/chat/completions"
    assert found["meshgate_chat"].url == f"{member.base_url}/chat/completions"
    assert ("openai_completions" in found) == ("completions" in member.answers)
    assert ("openai_embeddings" in found) == ("embeddings" in member.answers)


@pytest.mark.parametrize("kind", [kind for kind, it in ANSWERING.items() if not it.chat.renamed])
def test_what_has_no_other_name_there_passes_as_it_is(kind):
    written = passed(kind)

    bound = "max_tokens" if MEMBERS[kind].chat.only_bound else "max_completion_tokens"
    assert written == {
        **{name: value for name, value in ASKED.items() if name != "max_completion_tokens"},
        "model": "it",
        bound: 5,
        "stream_options": {"include_usage": True},
    }


def test_mistral_is_asked_in_its_own_words():
    written = passed("mistral", stream_options={"include_usage": True})

    assert written == {
        "model": "it",
        "messages": ASKED["messages"],
        "max_tokens": 5,
        "random_seed": 7,
        "tool_choice": "any",
        "stream": True,
    }


def test_a_member_without_chat_completions_is_not_asked_for_them():
    assert "openai_chat" not in {
        dialect
        for dialect, endpoint in endpoints("perplexity").items()
        if endpoint.url.endswith("chat/completions")
    }
