from typing import get_args

import pytest
from openai.types import ChatModel, EmbeddingModel

from meshgate.config.discovery import GEMINI_MODELS, OPENAI_MODELS, discover
from meshgate.config.secrets import SecretReference
from meshgate.runtime.environment import SettingError


def test_an_empty_environment_gives_the_demo():
    snapshot = discover({}).snapshot

    assert list(snapshot.providers) == ["demo"]
    assert list(snapshot.models) == ["demo"]


def test_a_key_of_openai_gives_its_well_known_models():
    snapshot = discover({"OPENAI_API_KEY": "sk-hunter2"}).snapshot

    assert snapshot.providers["openai"].api_key == SecretReference("env", "OPENAI_API_KEY")
    assert tuple(snapshot.models) == OPENAI_MODELS
    assert "hunter2" not in repr(snapshot)


def test_the_well_known_models_are_known_to_the_sdk():
    known = {*get_args(ChatModel), *get_args(EmbeddingModel)}

    assert known >= set(OPENAI_MODELS)


def test_the_address_may_be_given_too():
    environment = {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}

    assert discover(environment).snapshot.providers["openai"].base_url == "http://127.0.0.1:1/v1"


def test_an_address_that_is_none_is_told_by_its_variable():
    with pytest.raises(SettingError, match="OPENAI_BASE_URL must be an address"):
        discover({"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "nonsense"})


def test_the_same_environment_gives_the_same_revision():
    environment = {"OPENAI_API_KEY": "x"}

    assert discover(environment).snapshot.revision == discover(environment).snapshot.revision
    assert discover(environment).snapshot.revision != discover({}).snapshot.revision


def test_keys_of_providers_to_come_are_told():
    notices = discover({"ANTHROPIC_API_KEY": "x"}).notices

    assert any("ANTHROPIC_API_KEY is set, but its provider is not supported" in n for n in notices)


@pytest.mark.parametrize("variable", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_a_key_of_google_gives_its_current_models(variable):
    snapshot = discover({variable: "hunter2"}).snapshot

    assert snapshot.providers["gemini"].api_key == SecretReference("env", variable)
    assert tuple(snapshot.models) == GEMINI_MODELS
    assert all(model.targets[0].price_status == "table" for model in snapshot.models.values())
    assert "hunter2" not in repr(snapshot)


def test_keys_of_several_providers_give_them_all():
    snapshot = discover({"OPENAI_API_KEY": "x", "GEMINI_API_KEY": "y"}).snapshot

    assert list(snapshot.providers) == ["openai", "gemini"]
    assert tuple(snapshot.models) == (*OPENAI_MODELS, *GEMINI_MODELS)
