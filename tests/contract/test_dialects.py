"""Every dialect that callers speak is one of the contract's, and can be run and counted."""

import pytest

from meshgate.dialects.metering import meter
from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.translation import CALLER_DIALECTS, translator
from meshgate.provider.api import Connection
from meshgate.provider.apis.gemini import gemini_api
from meshgate.provider.apis.openai import openai_api
from meshgate.routing.question import DIALECT_NAMES

SPOKEN = [*CALLER_DIALECTS, "openai_embeddings"]
# They have an endpoint of their own where OpenAI's API is spoken.
_OPENAIS_OWN = {"openai_completions", "openai_embeddings"}


@pytest.mark.parametrize("dialect", SPOKEN)
def test_a_dialect_is_counted_and_run_at_upstreams_with_openais_api(dialect: str) -> None:
    endpoint = openai_api(Connection("openai-compatible", "http://upstream/v1")).endpoints[dialect]

    assert meter(dialect)
    upstream = dialect if dialect in _OPENAIS_OWN else "openai_chat"
    assert type(endpoint.translator) is type(translator(dialect, upstream, OutputBound.MAX_TOKENS))


@pytest.mark.parametrize("dialect", SPOKEN)
def test_a_dialect_stands_in_the_contract(dialect: str) -> None:
    assert dialect in DIALECT_NAMES.values()


def test_geminis_upstreams_answer_all_of_its_dialects_and_count_tokens() -> None:
    endpoints = gemini_api(Connection("gemini", "http://upstream/v1beta")).endpoints

    assert endpoints.keys() >= {"gemini_generate", "gemini_embeddings", "gemini_token_count"}
    assert endpoints.keys() >= {"openai_chat", "openai_embeddings", "meshgate_chat"}
    assert meter("gemini_token_count")
    address = endpoints["openai_chat"].address("models-x/y", stream=True)
    assert address == ("http://upstream/v1beta/models/models-x%2Fy:streamGenerateContent?alt=sse")
