"""The typed API as REST, and OpenAI's as bytes."""

import asyncio

import pytest
from edge.scripted_routing import body, chat_response

from meshgate.v1 import gateway_service_pb2 as gateway_pb
from meshgate.v1 import status_service_pb2 as status_pb

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOUND_SECONDS = 20


async def test_answers_have_snake_case_names_and_zero_fields(rest, script):
    async def answer(request, context):
        response = chat_response(request.model)
        response.usage.input_tokens = 5
        return response

    script.on("Chat", answer)

    answer = await rest.post(
        "/meshgate/v1/chat", json={"model": "demo", "max_output_tokens": 7, "seed": "1"}
    )

    assert answer.json() == {
        "id": "answer-1",
        "served_model": "demo",
        "message": {
            "role": "ROLE_UNSPECIFIED",
            "parts": [{"text": "demo", "citations": []}],
            "name": "",
        },
        "finish_reason": "FINISH_REASON_UNSPECIFIED",
        "stop_sequence": "",
        "usage": {
            "input_tokens": 5,
            "cached_input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "output_tokens": 0,
            "reasoning_tokens": 0,
            "long_cache_creation_input_tokens": 0,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "input_image_tokens": 0,
            "output_image_tokens": 0,
            "service_tier": "",
            "images": 0,
            "input_audio_seconds": 0,
            "input_characters": 0,
            "search_units": 0,
        },
    }


async def test_a_typed_stream_is_server_sent_events(rest, script):
    async def answer(request, context):
        for number, word in enumerate(("one", "two")):
            response = gateway_pb.StreamChatResponse()
            response.event.sequence_number = number
            response.event.text_delta = word
            yield response

    script.on("StreamChat", answer)

    answer = await rest.post("/meshgate/v1/chat:stream", json={"model": "demo"})

    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text == (
        'data: {"event":{"sequence_number":0,"text_delta":"one"}}\n\n'
        'data: {"event":{"sequence_number":1,"text_delta":"two"}}\n\n'
    )


@pytest.mark.parametrize(
    ("path", "rpc", "more"),
    [("/healthz", "GetLiveness", {}), ("/readyz", "GetReadiness", {"degraded": []})],
)
async def test_probes_are_answered_by_the_status_service(rest, script, path, rpc, more):
    async def answer(request, context):
        return status_pb.GetLivenessResponse(status="ok")

    script.on(rpc, answer)

    answer = await rest.get(path)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok", **more})


async def test_what_openai_adds_tomorrow_passes_bit_for_bit(rest, script):
    sent = b'{"model": "demo",  "new_thing": {"n": 12345678901234567, "z": 1.0}}'
    seen = []

    async def answer(request, context):
        seen.append(request)
        yield body(sent)

    script.on("ChatCompletions", answer)

    answer = await rest.post(
        "/v1/chat/completions", content=sent, headers={"content-type": "application/json"}
    )

    assert (seen[0].data, seen[0].content_type) == (sent, "application/json")
    assert (answer.content, answer.headers["content-type"]) == (sent, "application/json")


@pytest.mark.parametrize("path", ["/v1/models/meta/llama-3", "/v1/models/meta%2Fllama-3"])
async def test_a_model_may_have_a_slash_in_its_name(rest, script, path):
    seen = []

    async def answer(request, context):
        seen.append(request.id)
        return body(b"{}")

    script.on("GetModel", answer)

    answer = await rest.get(path)

    assert answer.status_code == 200
    assert seen == ["meta/llama-3"]


async def test_headers_of_a_service_become_headers_of_the_answer(rest, script):
    async def answer(request, context):
        await context.send_initial_metadata((("x-meshgate-model", "demo"),))
        yield body(b"data: [DONE]\n\n", "text/event-stream")

    script.on("ChatCompletions", answer)

    answer = await rest.post("/v1/chat/completions", json={})

    assert answer.headers["x-meshgate-model"] == "demo"
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["server"] == "meshgate"
    assert not [name for name in answer.headers if name.startswith(("grpc-", "x-envoy-"))]


async def test_a_rest_clients_grpc_timeout_reaches_the_service(rest, script):
    remaining = []

    async def answer(request, context):
        remaining.append(context.time_remaining())
        return body(b"{}")

    script.on("ListModels", answer)

    await rest.get("/v1/models", headers={"grpc-timeout": "50S"})

    assert 40 < remaining[0] < 60


async def test_a_rest_client_whose_grpc_timeout_passes_gets_504(rest, script):
    cancelled = asyncio.Event()

    async def hang(request, context):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        yield

    script.on("ChatCompletions", hang)

    answer = await rest.post("/v1/chat/completions", json={}, headers={"grpc-timeout": "50m"})
    await asyncio.wait_for(cancelled.wait(), BOUND_SECONDS)

    assert answer.status_code == 504
    assert answer.json()["error"]["type"] == "server_error"


@pytest.mark.parametrize("path", ["/v1/models", "/meshgate/v1/status"])
async def test_an_unreadable_grpc_timeout_is_400(rest, script, path):
    answer = await rest.get(path, headers={"grpc-timeout": "soon"})

    assert answer.status_code == 400
    assert "grpc-timeout is not like" in answer.text
    assert script.calls == []
