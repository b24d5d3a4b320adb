"""What users of generated stubs get, through the public port."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from gateway_process import Gateway
from google.rpc import error_details_pb2, status_pb2
from upstream import Behaviour, Cut, Hang, RemoteUpstream
from upstream.behaviours import DEFAULT_TEXT
from upstream.embeddings import vector

from meshgate.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    chat_pb2,
    gateway_service_pb2,
    gateway_service_pb2_grpc,
)

pytestmark = pytest.mark.mesh


@pytest.fixture
async def channel(gateway: Gateway) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(gateway.grpc_target) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Any:
    return gateway_service_pb2_grpc.GatewayServiceStub(channel)


@pytest.fixture
def metadata(gateway: Gateway) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {gateway.key}"),)


def question(model: str = "gpt-4o-mini", text: str = "hello") -> gateway_service_pb2.ChatRequest:
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text=text)])
    return gateway_service_pb2.ChatRequest(model=model, messages=[message])


def info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    status = status_pb2.Status.FromString(
        dict(error.trailing_metadata())["grpc-status-details-bin"]
    )
    [info] = [
        detail for detail in status.details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)
    ]
    unpacked = error_details_pb2.ErrorInfo()
    info.Unpack(unpacked)
    return unpacked


async def test_chat_answers(stub: Any, metadata: Any) -> None:
    answer = await stub.Chat(question(), metadata=metadata, timeout=20)

    assert answer.message.parts[0].text == DEFAULT_TEXT
    assert answer.finish_reason == chat_pb2.FINISH_REASON_STOP
    assert answer.usage.output_tokens > 0


@pytest.mark.parametrize("model", ["gpt-4o-mini", "vendor/demo"])
async def test_stream_chat_tells_the_answer_step_by_step(
    stub: Any, metadata: Any, model: str
) -> None:
    request = gateway_service_pb2.StreamChatRequest(chat=question(model))

    events = [
        response.event async for response in stub.StreamChat(request, metadata=metadata, timeout=20)
    ]

    kinds = [event.WhichOneof("kind") for event in events]
    assert kinds[0] == "started"
    assert set(kinds[1:-1]) == {"text_delta"}
    assert kinds[-1] == "finished"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].finished.usage.output_tokens > 0


async def test_errors_have_a_code_and_details(stub: Any, metadata: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Chat(question("gpt-9"), metadata=metadata, timeout=20)

    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    assert info(raised.value).reason == "ERROR_REASON_MODEL_NOT_FOUND"
    assert info(raised.value).metadata["model"] == "gpt-9"


async def test_a_missing_key_is_unauthenticated(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Chat(question(), timeout=20)

    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert info(raised.value).reason == "ERROR_REASON_CREDENTIAL_MISSING"


async def test_an_empty_question_names_the_field(stub: Any, metadata: Any) -> None:
    request = gateway_service_pb2.ChatRequest(model="gpt-4o-mini")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Chat(request, metadata=metadata, timeout=20)

    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert info(raised.value).metadata["field"] == "messages"


async def test_the_callers_deadline_is_kept(
    stub: Any, metadata: Any, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=Hang("head")))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Chat(question(), metadata=metadata, timeout=0.5)

    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await upstream.ending()).outcome == "client_gone"


async def test_cancelling_a_stream_cancels_the_upstream(
    stub: Any, metadata: Any, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=Hang("event", after_events=2)))
    call = stub.StreamChat(
        gateway_service_pb2.StreamChatRequest(chat=question()), metadata=metadata, timeout=20
    )
    await anext(aiter(call))

    call.cancel()

    assert (await upstream.ending()).outcome == "client_gone"


async def test_a_cut_stream_ends_with_an_error_and_no_finish(
    stub: Any, metadata: Any, upstream: RemoteUpstream
) -> None:
    await upstream.script("hello", Behaviour(fault=Cut(after_events=2)))
    request = gateway_service_pb2.StreamChatRequest(chat=question())
    kinds = []

    async def read() -> None:
        async for response in stub.StreamChat(request, metadata=metadata, timeout=20):
            kinds.append(response.event.WhichOneof("kind"))  # noqa: PERF401 - what came before

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await read()

    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "finished" not in kinds


async def test_internal_services_are_not_reachable(channel: grpc.aio.Channel) -> None:
    stub: Any = auth_service_pb2_grpc.AuthServiceStub(channel)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.BatchAuthenticate(auth_service_pb2.BatchAuthenticateRequest(), timeout=20)

    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_the_typed_api_is_rest_too(gateway: Gateway) -> None:
    message = {"role": "ROLE_USER", "parts": [{"text": "hello"}]}
    async with gateway.client() as client:
        plain = await client.post(
            "/meshgate/v1/chat", json={"model": "gpt-4o-mini", "messages": [message]}
        )
        streamed = await client.post(
            "/meshgate/v1/chat:stream", json={"model": "gpt-4o-mini", "messages": [message]}
        )
        missing = await client.post(
            "/meshgate/v1/chat", json={"model": "gpt-9", "messages": [message]}
        )

    assert plain.json()["message"]["parts"] == [{"text": DEFAULT_TEXT, "citations": []}]
    assert plain.json()["usage"]["output_tokens"] > 0
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.text.count("data: ") > 3
    assert missing.status_code == 404
    assert missing.json()["code"] == 5
    assert missing.json()["details"][0]["reason"] == "ERROR_REASON_MODEL_NOT_FOUND"


async def test_texts_are_embedded(stub: Any, metadata: Any, upstream: RemoteUpstream) -> None:
    request = gateway_service_pb2.EmbedRequest(
        model="text-embedding-3-small", texts=["one", "two"], dimensions=4
    )

    answer = await stub.Embed(request, metadata=metadata, timeout=20)

    assert [list(each.values) for each in answer.embeddings] == [vector("one", 4), vector("two", 4)]
    assert answer.dimensions == 4
    assert answer.usage.input_tokens == 2
    [sent] = await upstream.requests()
    assert sent.body["input"] == ["one", "two"]


async def test_models_are_listed_page_by_page(stub: Any, metadata: Any) -> None:
    names: list[str] = []
    page = gateway_service_pb2.ListModelsRequest(page_size=3)
    while True:
        answer = await stub.ListModels(page, metadata=metadata, timeout=20)
        names += [model.name for model in answer.models]
        if not answer.next_page_token:
            break
        page.page_token = answer.next_page_token

    assert len(set(names)) == len(names) > page.page_size
    assert names == sorted(names)
    assert "vendor/demo" in names


async def test_embeddings_and_models_are_rest_too(gateway: Gateway) -> None:
    async with gateway.client() as client:
        embedded = await client.post(
            "/meshgate/v1/embed", json={"model": "text-embedding-3-small", "texts": ["one"]}
        )
        listed = await client.get("/meshgate/v1/models", params={"page_size": 1})
        refused = await client.get("/meshgate/v1/models", params={"page_token": "?"})
        conversed = await client.post("/meshgate/v1/converse", json={})

    assert embedded.json()["embeddings"] == [{"values": vector("one", 8)}]
    assert embedded.json()["dimensions"] == 8
    assert len(listed.json()["models"]) == 1
    assert listed.json()["next_page_token"]
    assert refused.status_code == 400
    assert refused.json()["details"][0]["metadata"] == {"field": "page_token"}
    assert conversed.status_code == 404
