"""Every dialect of the contract can be run, counted and named."""

import pytest

from meshgate.dialects.metering import meter
from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.translation import translator
from meshgate.provider.api import Connection
from meshgate.provider.apis.openai import openai_api
from meshgate.routing.question import DIALECT_NAMES
from meshgate.v1 import provider_service_pb2 as pb

DIALECTS = [number for number in pb.Dialect.values() if number != pb.DIALECT_UNSPECIFIED]


@pytest.mark.parametrize("dialect", DIALECTS, ids=DIALECT_NAMES.get)
def test_a_dialect_is_counted_and_run_at_upstreams_with_openais_api(dialect: int) -> None:
    name = DIALECT_NAMES[dialect]

    endpoint = openai_api(Connection("openai-compatible", "http://upstream/v1")).endpoints[name]

    assert meter(name)
    translated = {"meshgate_chat", "openai_responses"}
    upstream = "openai_chat" if name in translated else name
    assert type(endpoint.translator) is type(translator(name, upstream, OutputBound.MAX_TOKENS))
