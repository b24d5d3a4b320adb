import pytest
from provider.raw_server import answering, tls_server

from meshgate.provider.trust import trust


async def test_configured_authorities_take_the_place_of_the_systems(tmp_path):
    async with tls_server(tmp_path, answering(b"")) as (_, ca_pem):
        context = trust(b"# T\xc3\xbcrk, a comment\n" + ca_pem)

    assert context.cert_store_stats()["x509_ca"] == 1


def test_without_any_the_systems_are_trusted():
    assert trust(None).check_hostname


@pytest.mark.parametrize("pem", [b"", b"nothing", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nx\n"])
def test_what_is_no_certificate_is_refused(pem):
    with pytest.raises(ValueError, match="cannot be used"):
        trust(pem)


def test_the_systems_are_read_once_for_all_upstreams():
    assert trust(None) is trust(None)
