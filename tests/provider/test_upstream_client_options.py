"""What every upstream client makes of the options of a provider."""

import os

import pytest
from provider.posting import OK, chat, plain
from provider.raw_server import answering, raw_server, tls_server
from upstream import FakeUpstream

from meshgate.provider.upstream import ClientOptions, ConnectFailedError


@pytest.fixture
async def upstream():
    async with FakeUpstream() as fake:
        yield fake


async def test_proxies_in_the_environment_are_not_used(make_client, upstream, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")

    status, _ = await plain(make_client(), chat(upstream))

    assert status == 200


async def test_a_configured_proxy_is_used(make_client):
    seen = []

    async with raw_server(answering(OK, seen)) as url:
        client = make_client(proxy=url.replace("http://", "http://user:secret@").rstrip("/"))
        _, body = await plain(client, "http://upstream.invalid/v1/chat/completions")

    assert body == b"ok"
    assert seen[0].startswith(b"POST http://upstream.invalid/v1/chat/completions HTTP/1.1")
    assert b"proxy-authorization: basic dxnlcjpzzwnyzxq=" in seen[0].lower()


async def test_a_certificate_of_an_own_authority_is_trusted_when_configured(make_client, tmp_path):
    async with tls_server(tmp_path, answering(OK)) as (
        url,
        ca_pem,
    ):
        _, body = await plain(make_client(ca_pem=b"# ours\n" + ca_pem + ca_pem), url)

    assert body == b"ok"


async def test_a_configured_authority_takes_the_place_of_the_systems(make_client, tmp_path):
    async with tls_server(tmp_path, answering(OK)) as (url, _):
        other = tmp_path / "other"
        other.mkdir()
        async with tls_server(other, answering(OK)) as (_, ca_pem):
            client = make_client(ca_pem=ca_pem)

            with pytest.raises(ConnectFailedError):
                await plain(client, url)


async def test_a_certificate_of_an_unknown_authority_is_a_failed_connection(make_client, tmp_path):
    async with tls_server(tmp_path, answering(OK)) as (
        url,
        _,
    ):
        with pytest.raises(ConnectFailedError):
            await plain(make_client(), url)


@pytest.mark.parametrize(
    "options", [{"ca_pem": b"no certificate"}, {"proxy": "no://user:secret@proxy"}], ids=str
)
async def test_options_that_cannot_be_used_are_told_without_their_text(make_client, options):
    with pytest.raises(ValueError, match="cannot be used") as caught:
        make_client(**options)

    assert "secret" not in str(caught.value)


def test_a_proxy_with_a_password_is_not_shown():
    assert "secret" not in repr(ClientOptions(proxy="http://user:secret@proxy"))
