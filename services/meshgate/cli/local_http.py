"""Plain HTTP with a process of this machine: the standard library's, which is loaded in no time."""

import asyncio
import http.client
import socket
from pathlib import Path
from typing import NamedTuple

ERRORS = (OSError, http.client.HTTPException)
"""What comes of nobody answering, or not in time, or not in HTTP."""


class Answer(NamedTuple):
    """What was answered."""

    status: int
    text: str


class _UnixConnection(http.client.HTTPConnection):
    """A connection through a socket in the file system."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


async def get(authority: str, path: str, seconds: float) -> Answer:
    """What is answered at `host:port`; raises ERRORS."""
    connection = http.client.HTTPConnection(authority, timeout=seconds)
    return await asyncio.to_thread(_answer, connection, "GET", path)


async def post(socket_path: Path, path: str, seconds: float) -> Answer:
    """What is answered to nothing at a Unix socket; raises ERRORS."""
    connection = _UnixConnection(socket_path, seconds)
    return await asyncio.to_thread(_answer, connection, "POST", path)


def _answer(connection: http.client.HTTPConnection, method: str, path: str) -> Answer:
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(errors="replace"))
    finally:
        connection.close()
