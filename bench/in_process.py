"""What a call over the in-process binding costs, beside the handler called directly.

    .venv/bin/python bench/in_process.py

Prints CPU microseconds per plain call and per streamed message, each the best of several rounds:
the machine's noise only ever adds.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvloop

from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.interception import intercepted
from meshgate.runtime.service import Implementation
from meshgate.v1 import provider_service_pb2 as pb
from meshgate.v1 import provider_service_pb2_grpc as rpc

ROUNDS = 7
CALLS = 5_000
MESSAGES = 20_000
BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 1000 + b'"}]}'


class Echo:
    """A provider that answers at once."""

    async def Execute(self, request: Any, context: Any) -> pb.ExecuteResponse:  # noqa: N802
        return pb.ExecuteResponse(answer=pb.Answer(body=request.body))

    async def StreamExecute(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        response = pb.StreamExecuteResponse(chunk=request.body[:200])
        for _ in range(MESSAGES):
            yield response

    async def ListTargets(self, request: Any, context: Any) -> pb.ListTargetsResponse:  # noqa: N802
        return pb.ListTargetsResponse()


class NoContext:
    """What a handler that is called directly sees of its call."""


async def main() -> None:
    """Print the table."""
    echo = Echo()
    identity = MeshIdentity("the token of the mesh")
    service = pb.DESCRIPTOR.services_by_name["ProviderService"]
    methods = intercepted(Implementation(service, echo, internal=True), identity)
    stub: Any = rpc.ProviderServiceStub(InProcessChannel(methods, identity.metadata()))  # type: ignore[no-untyped-call]
    plain = pb.ExecuteRequest(target=pb.Target(model="m"), body=BODY)
    streamed = pb.StreamExecuteRequest(target=pb.Target(model="m"), body=BODY)

    async def calls(execute: Callable[[], Awaitable[Any]]) -> None:
        for _ in range(CALLS):
            await execute()

    async def messages(stream: Callable[[], AsyncIterator[Any]]) -> None:
        async for _ in stream():
            pass

    context = NoContext()
    print("CPU microseconds                direct  in-process")
    print(
        "a plain call                  "
        f"{await best(lambda: calls(lambda: echo.Execute(plain, context)), CALLS):8.2f}"
        f"{await best(lambda: calls(lambda: stub.Execute(plain, timeout=60)), CALLS):12.2f}"
    )
    print(
        "a streamed message            "
        f"{await best(lambda: messages(lambda: echo.StreamExecute(streamed, context)), MESSAGES):8.2f}"
        f"{await best(lambda: messages(lambda: stub.StreamExecute(streamed, timeout=60)), MESSAGES):12.2f}"
    )


async def best(run: Callable[[], Awaitable[None]], count: int) -> float:
    """The least CPU microseconds for each of `count`."""
    spent = []
    for _ in range(ROUNDS):
        started = time.process_time()
        await run()
        spent.append(time.process_time() - started)
    return min(spent) / count * 1e6


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
