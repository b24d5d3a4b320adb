"""An upstream of ours at the fake one, by way of every client."""

import pytest
from provider.attempts import KEY
from upstream import Behaviour, FakeUpstream
from upstream import Usage as FakeUsage

from meshgate.provider.api import Connection
from meshgate.provider.apis.openai import openai_api
from meshgate.provider.assembly import CLIENTS
from meshgate.provider.http_upstream import HttpUpstream
from meshgate.provider.upstream import ClientOptions


@pytest.fixture
async def fake():
    async with FakeUpstream(api_key=KEY) as upstream:
        upstream.default(Behaviour(usage=FakeUsage(5, 9, 2, 1)))
        yield upstream


@pytest.fixture(params=CLIENTS.values(), ids=CLIENTS.keys())
def client_factory(request):
    return request.param


@pytest.fixture
async def make_client(client_factory):
    clients = []

    def make(**options):
        clients.append(client_factory(ClientOptions(**options)))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
async def make_upstream(client_factory):
    made = []

    def make(base_url, **headers):
        api = openai_api(Connection("openai-compatible", base_url, KEY, headers))
        made.append(HttpUpstream(api, client_factory(ClientOptions())))
        return made[-1]

    yield make
    for upstream in made:
        await upstream.close()


@pytest.fixture
def upstream(make_upstream, fake):
    return make_upstream(fake.base_url)
