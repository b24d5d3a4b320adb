import socket

import pytest

from meshgate.cli.ports import free_port, is_free


@pytest.fixture
def listener():
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_a_port_with_a_listener_is_not_free_even_if_it_would_share(listener):
    assert not is_free("127.0.0.1", listener.getsockname()[1])


def test_a_port_with_a_listener_is_not_free_on_all_addresses(listener):
    assert not is_free("0.0.0.0", listener.getsockname()[1])


def test_a_free_port_is_free():
    assert is_free("127.0.0.1", free_port())


def test_outgoing_connections_do_not_take_the_ports_that_are_found():
    assert all(15_000 <= free_port() < 60_000 for _ in range(20))


def test_an_address_of_another_machine_is_an_error():
    with pytest.raises(OSError, match="assign requested address"):
        is_free("192.0.2.1", 8080)
