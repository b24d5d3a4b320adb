"""How addresses of peers are read and written."""

import pytest

from meshgate.runtime.channel import _target, parse_addresses


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert _target(("::1", 80)) == "ipv6:[::1]:80"
    assert _target(("127.0.0.1", 80)) == "ipv4:127.0.0.1:80"


def test_addresses_are_parted_by_commas() -> None:
    assert parse_addresses("a:1, [::1]:2 ,10.0.0.1:3,") == ["a:1", "[::1]:2", "10.0.0.1:3"]


@pytest.mark.parametrize(
    "text",
    ["", ",", "a", "a:", ":1", "a:b", "a:0", "a:65536", "a:-1", "a:1:", "http://a:1", "[]:1"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not host:port|holds no address"):
        parse_addresses(text)
