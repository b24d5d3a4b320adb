from typing import get_args

import pytest
from openai.types import ChatModel, EmbeddingModel

from meshgate.config.discovery import ANTHROPIC_MODELS, OPENAI_MODELS, discover
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
    notices = discover({"GEMINI_API_KEY": "y"}).notices

    assert any("GEMINI_API_KEY is set, but its provider is not supported" in n for n in notices)


def test_a_key_of_anthropic_gives_its_models_which_have_prices():
    snapshot = discover({"ANTHROPIC_API_KEY": "sk-ant-hunter2"}).snapshot

    assert snapshot.providers["anthropic"].api_key == SecretReference("env", "ANTHROPIC_API_KEY")
    assert tuple(snapshot.models) == ANTHROPIC_MODELS
    targets = [target for model in snapshot.models.values() for target in model.targets]
    assert {target.price_status for target in targets} == {"table"}


def test_keys_of_both_give_the_models_of_both():
    snapshot = discover({"ANTHROPIC_API_KEY": "x", "OPENAI_API_KEY": "y"}).snapshot

    assert list(snapshot.providers) == ["openai", "anthropic"]
    assert tuple(snapshot.models) == OPENAI_MODELS + ANTHROPIC_MODELS


@pytest.mark.parametrize(
    "given", ["http://127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1/v1"]
)
def test_anthropics_address_may_be_given_as_its_sdk_takes_it(given):
    environment = {"ANTHROPIC_API_KEY": "x", "ANTHROPIC_BASE_URL": given}

    provider = discover(environment).snapshot.providers["anthropic"]

    assert provider.base_url == "http://127.0.0.1:1/v1"


def test_anthropics_address_that_is_none_is_told_by_its_variable():
    with pytest.raises(SettingError, match="ANTHROPIC_BASE_URL must be an address"):
        discover({"ANTHROPIC_API_KEY": "x", "ANTHROPIC_BASE_URL": "nonsense"})
