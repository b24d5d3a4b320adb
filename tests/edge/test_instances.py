"""Which instances of routing get requests."""

import grpc
import httpx
import pytest
from edge.scripted_routing import body, scripted_routing
from envoy_process import edge_settings, free_port, running_envoy

from meshgate.edge.rendering import Address

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED],
)
async def test_an_instance_that_answers_with_errors_stays(rest, edge, script, code):
    async def refuse(request, context):
        await context.abort(code, "the upstream is down")
        yield

    script.on("ChatCompletions", refuse)

    for _ in range(20):
        await rest.post("/v1/chat/completions", json={})

    assert await edge.stat("cluster.routing.membership_healthy") == 2
    assert await edge.stat("cluster.routing.outlier_detection.ejections_enforced_total") == 0


async def test_what_a_service_answered_is_not_retried(rest, script):
    async def refuse(request, context):
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no")
        yield

    script.on("ChatCompletions", refuse)

    await rest.post("/v1/chat/completions", json={})

    assert script.calls == ["ChatCompletions"]


async def test_a_dead_instance_is_passed_over_from_the_start():
    async def answer(request, context):
        return body(b"{}")

    async with scripted_routing() as server:
        server.script.on("ListModels", answer)
        addresses = [server.addresses[0], Address("127.0.0.1", free_port())]

        async with (
            running_envoy(edge_settings(addresses)) as edge,
            httpx.AsyncClient(base_url=edge.base_url) as client,
        ):
            statuses = {(await client.get("/v1/models")).status_code for _ in range(10)}

    assert statuses == {200}
