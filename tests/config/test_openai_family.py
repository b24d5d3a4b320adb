"""Providers of OpenAI's family: their files, their kinds in the configuration, their page."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from pydantic import ValidationError

from meshgate.config.discovery import discover
from meshgate.config.openai_family import page
from meshgate.config.openai_family.members import MEMBERS, Member, read
from meshgate.config.preparation import prepare
from meshgate.config.schema import Configuration
from meshgate.config.secrets import SecretReference
from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.openai_chat.fields import EXPRESSED
from meshgate.pricing.vendors import vendor_at

ROOT = Path(__file__).parents[2]
SMALLEST = """
name = "Example"
base_url = "https://api.example.com/v1"
answers = ["chat"]
[[facts]]
says = "It is."
source = "https://docs.example.com"
"""


def configured(**provider):
    written = {
        "providers": {"it": provider},
        "models": {"m": {"targets": [{"provider": "it"}]}},
    }
    return prepare(Configuration.model_validate_json(json.dumps(written))).providers["it"]


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_member_needs_no_address(kind):
    member = MEMBERS[kind]
    key = {"api_key": "${env:SOME_KEY}"} if member.key_variable else {}

    provider = configured(kind=kind, **key)

    assert (provider.kind, provider.base_url) == (kind, member.base_url)


def test_its_address_may_be_another_and_a_server_of_ones_own_may_have_a_key():
    provider = configured(kind="vllm", base_url="http://gpu:1/v1", api_key="${env:K}")

    assert provider.base_url == "http://gpu:1/v1"
    assert provider.api_key == SecretReference("env", "K")


def test_a_key_that_is_needed_is_asked_for_by_its_usual_variable():
    with pytest.raises(ValidationError, match=re.escape("${env:MISTRAL_API_KEY}")):
        configured(kind="mistral")


@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
def test_a_member_contradicts_nothing(member: Member):
    variant = member.chat

    assert vendor_at(member.base_url) == (member.vendor or None)
    assert set(variant.renamed) | set(variant.words) <= EXPRESSED
    assert not variant.refused & {"messages", "model", "stream", *variant.taken}
    if variant.only_bound:
        assert variant.output_bound is OutputBound.MAX_TOKENS


def test_the_smallest_file_is_a_name_an_address_an_answer_and_a_fact():
    member = read(SMALLEST)

    assert member == msgspec.structs.replace(member, key_variable="", vendor="")
    assert member.chat.output_bound is OutputBound.MAX_TOKENS


@pytest.mark.parametrize(
    "broken",
    [
        SMALLEST.replace('answers = ["chat"]', 'answers = ["chats"]'),
        SMALLEST.replace("api.example.com/v1", "api.example.com/v1/"),
        SMALLEST.replace('source = "https://docs.example.com"', ""),
        SMALLEST + "\n[chat]\nmisspelt = true\n",
        SMALLEST + '\n[chat]\nthoughts = "somewhere"\n',
    ],
)
def test_a_file_with_a_mistake_is_refused(broken):
    with pytest.raises(msgspec.ValidationError):
        read(broken)


def test_a_key_in_the_environment_gives_the_models_that_have_a_price():
    found = discover({"MISTRAL_API_KEY": "hunter2", "DEEPSEEK_API_KEY": "hunter2"})

    assert set(found.snapshot.providers) == {"mistral", "deepseek"}
    assert found.snapshot.models["deepseek-v4-pro"].targets[0].provider == "deepseek"
    assert found.snapshot.providers["mistral"].api_key == SecretReference("env", "MISTRAL_API_KEY")
    assert "hunter2" not in repr(found.snapshot)


def test_where_two_have_a_model_of_the_same_name_the_first_serves_it():
    models = discover({"GROQ_API_KEY": "x", "TOGETHER_API_KEY": "y"}).snapshot.models

    assert models["openai/gpt-oss-120b"].targets[0].provider == "groq"


def test_openais_own_key_comes_first():
    snapshot = discover({"OPENAI_API_KEY": "x", "MISTRAL_API_KEY": "y"}).snapshot

    assert list(snapshot.providers) == ["openai", "mistral"]


def test_a_key_whose_models_nobody_knows_makes_no_provider_and_is_told():
    found = discover({"OPENROUTER_API_KEY": "x"})

    assert list(found.snapshot.providers) == ["demo"]
    assert any("OPENROUTER_API_KEY is set, but which models" in it for it in found.notices)


def test_the_page_of_members_is_fresh():
    assert (ROOT / "docs/providers.md").read_text() == page.markdown(), (
        "run: python -m meshgate.config providers > docs/providers.md"
    )
