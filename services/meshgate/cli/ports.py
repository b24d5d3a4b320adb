"""Ports of this machine."""

import errno
import random
import socket
from pathlib import Path

_LOWEST = 15_000
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_OUTGOING_LOWEST = 32_768
_ATTEMPTS = 100


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there.

    Raises:
        OSError: Nobody may: it is not our address, or the port is privileged.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections that have just ended do not count; a listener does, even one that shares.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A port where nobody listens, and that no outgoing connection will take.

    A process keeps its port over its restarts, so one that the kernel lends to outgoing connections
    could be gone when the process comes back.
    """
    for _ in range(_ATTEMPTS):
        port = random.randrange(_LOWEST, _lowest_outgoing())  # noqa: S311 - not a secret
        if is_free(host, port):
            return port
    raise OSError(f"no free port on {host}")


def _lowest_outgoing() -> int:
    try:
        lowest = int(_OUTGOING.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _OUTGOING_LOWEST
    return lowest if lowest > 2 * _LOWEST else _OUTGOING_LOWEST
