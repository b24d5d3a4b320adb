"""A fake cloud: Bedrock, Cohere, Azure, Vertex and those who give out tokens, on loopback.

    async with FakeCloud() as cloud:
        cloud.reply("/converse", Reply(429, {"message": "slow down"}))
        ...  # talk to cloud.origin
        assert cloud.requests[0].path == "/model/m/converse"

What has no reply of its own is answered as Bedrock and Cohere would.
"""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

from upstream import cohere, converse
from upstream.behaviours import DEFAULT_TEXT, Usage
from upstream.chat import Chat, payloads
from upstream.chat import whole as chat_whole
from upstream.event_stream import MEDIA_TYPE
from upstream.http1 import (
    ClientGoneError,
    Connection,
    Incoming,
    Listener,
    MalformedError,
    chunk,
    head,
)
from upstream.records import Request

_EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        status: The HTTP status.
        body: JSON, or bytes as they are.
        headers: More of them.
        pieces: A stream in place of the body, each piece a chunk of its own.
        media_type: What the body is.
    """

    status: int = 200
    body: Any = None
    headers: Sequence[tuple[str, str]] = ()
    pieces: Sequence[bytes] | None = None
    media_type: str = "application/json"


class FakeCloud:
    """Answers by the end of the path, and keeps every request."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._replies: list[tuple[str, Reply]] = []
        self._listener = Listener(self._serve)

    async def __aenter__(self) -> Self:
        await self._listener.start(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.stop()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._listener.port}"

    def reply(self, path_end: str, reply: Reply) -> None:
        """Decides the answers to paths that end so; what was decided last counts."""
        self._replies.insert(0, (path_end, reply))

    def forget(self) -> None:
        """Forgets all requests and replies."""
        self.requests.clear()
        self._replies.clear()

    async def _serve(self, connection: Connection) -> None:
        with suppress(ClientGoneError, MalformedError):
            while (incoming := await connection.read()) is not None:
                await self._answer(connection, incoming)

    async def _answer(self, connection: Connection, incoming: Incoming) -> None:
        body = _json(incoming.body)
        self.requests.append(
            Request(
                number=len(self.requests),
                connection=connection.number,
                method=incoming.method,
                path=incoming.path,
                headers=incoming.headers,
                raw_body=incoming.body,
                body=body,
            )
        )
        path = incoming.path
        own = (reply for end, reply in self._replies if path.endswith(end))
        reply = next(own, None) or _usual(path, body or {})
        headers = [("content-type", reply.media_type), *reply.headers]
        if reply.pieces is None:
            data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            length = ("content-length", str(len(data)))
            await connection.write(head(reply.status, [*headers, length]) + data)
            return
        chunked = ("transfer-encoding", "chunked")
        await connection.write(head(reply.status, [*headers, chunked]))
        for piece in reply.pieces:
            await connection.write(chunk(piece))
        await connection.write(chunk(b""))


@contextmanager
def running_cloud() -> Iterator[FakeCloud]:
    """A fake cloud on a thread of its own, for tests that wait without a loop."""
    cloud = FakeCloud()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        runner.run(cloud.__aenter__())
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield cloud
        finally:
            asyncio.run_coroutine_threadsafe(cloud.__aexit__(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


def _usual(path: str, body: dict[str, Any]) -> Reply:
    for ending, answer in _ANSWERS.items():
        if path.partition("?")[0].endswith(ending):
            return answer(body)
    return Reply(404, {"message": f"there is no {path}"})


def _converse(body: dict[str, Any]) -> Reply:
    return Reply(body=converse.whole(body), headers=[("x-amzn-requestid", "aws-1")])


def _converse_stream(body: dict[str, Any]) -> Reply:
    return Reply(pieces=converse.streamed(body), media_type=MEDIA_TYPE)


def _cohere(body: dict[str, Any]) -> Reply:
    if body["stream"]:
        return Reply(pieces=cohere.streamed(body), media_type=_EVENTS)
    return Reply(body=cohere.whole(body))


def _ranking(body: dict[str, Any]) -> Reply:
    return Reply(body=cohere.ranking(body))


def _openai(body: dict[str, Any]) -> Reply:
    said = Chat("chatcmpl-1", "gpt-5", 1, DEFAULT_TEXT, (), "stop", Usage(5, 9, 0, 0))
    if not body.get("stream"):
        return Reply(body=chat_whole(said))
    events = [b"data: " + it + b"\n\n" for it in payloads(said, 4, usage_asked="yes")]
    return Reply(pieces=[*events, b"data: [DONE]\n\n"], media_type=_EVENTS)


_ANSWERS = {
    "/converse": _converse,
    "/converse-stream": _converse_stream,
    "/v2/chat": _cohere,
    "/v2/rerank": _ranking,
    "/chat/completions": _openai,
}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
