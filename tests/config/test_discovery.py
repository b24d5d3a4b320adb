from typing import get_args

import pytest
from openai.types import ChatModel, EmbeddingModel

from meshgate.config.discovery import ANTHROPIC_MODELS, GEMINI_MODELS, OPENAI_MODELS, discover
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
