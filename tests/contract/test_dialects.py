"""Every dialect of the contract can be run, counted and named."""

import pytest

from meshgate.dialects.metering import meter
from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.translation import translator
from meshgate.provider.api import Connection
from meshgate.provider.apis.gemini import gemini_api
from meshgate.provider.apis.openai import openai_api
from meshgate.routing.question import DIALECT_NAMES
from meshgate.v1 import provider_service_pb2 as pb

# Only who has the model can count exactly: other upstreams are not asked.
TOKEN_COUNTS = {pb.DIALECT_ANTHROPIC_TOKEN_COUNT, pb.DIALECT_GEMINI_TOKEN_COUNT}
DIALECTS = [
    number
    for number in pb.Dialect.values()
    if number != pb.DIALECT_UNSPECIFIED and number not in TOKEN_COUNTS
]
TRANSLATED = {
    "meshgate_chat": "openai_chat",
    "gemini_generate": "openai_chat",
    "gemini_embeddings": "openai_embeddings",
}


@pytest.mark.parametrize("dialect", DIALECTS, ids=DIALECT_NAMES.get)
def test_a_dialect_is_counted_and_run_at_upstreams_with_openais_api(dialect: int) -> None:
    name = DIALECT_NAMES[dialect]

    endpoint = openai_api(Connection("openai-compatible", "http://upstream/v1")).endpoints[name]

    assert meter(name)
    upstream = TRANSLATED.get(name, name)
    assert type(endpoint.translator) is type(translator(name, upstream, OutputBound.MAX_TOKENS))


def test_geminis_upstreams_answer_all_of_its_dialects_and_count_tokens() -> None:
    endpoints = gemini_api(Connection("gemini", "http://upstream/v1beta")).endpoints

    assert endpoints.keys() >= {"gemini_generate", "gemini_embeddings", "gemini_token_count"}
    assert endpoints.keys() >= {"openai_chat", "openai_embeddings", "meshgate_chat"}
    assert meter("gemini_token_count")
    address = endpoints["openai_chat"].address("models-x/y", stream=True)
    assert address == ("http://upstream/v1beta/models/models-x%2Fy:streamGenerateContent?alt=sse")
