"""Answers to tests in other processes, under `/_/`.

GET    /_/requests        all requests, as JSON
GET    /_/requests/N      request N, once it has been answered or not; 504 after a while
DELETE /_/requests        forget the requests
POST   /_/script          add a Script
DELETE /_/script          forget the scripts
"""

from typing import Protocol

import msgspec

from upstream.behaviours import read_script
from upstream.http1 import Connection, Incoming, head
from upstream.records import Records
from upstream.scripts import Scripts


class _Upstream(Protocol):
    records: Records
    scripts: Scripts


async def answer(upstream: _Upstream, connection: Connection, incoming: Incoming) -> None:
    """Does what was asked, and answers in JSON."""
    try:
        status, body = await _perform(upstream, incoming)
    except msgspec.DecodeError as error:
        status, body = 400, msgspec.json.encode({"error": str(error)})
    except TimeoutError:
        status, body = 504, msgspec.json.encode({"error": "it has not ended yet"})
    headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
    await connection.write(head(status, headers) + body)


async def _perform(upstream: _Upstream, incoming: Incoming) -> tuple[int, bytes]:
    match incoming.method, incoming.path.split("/")[2:]:
        case "GET", ["requests"]:
            return 200, msgspec.json.encode(upstream.records.requests)
        case "GET", ["requests", number] if number.isdigit():
            return 200, msgspec.json.encode(await upstream.records.ending(int(number)))
        case "DELETE", ["requests"]:
            upstream.records.reset()
        case "POST", ["script"]:
            upstream.scripts.add(read_script(incoming.body))
        case "DELETE", ["script"]:
            upstream.scripts.reset()
        case _:
            return 404, b'{"error": "no such thing"}'
    return 200, b"{}"
