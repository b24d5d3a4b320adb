"""ProviderService.UploadExecute in every binding."""

import json

import grpc
import pytest
from provider.test_servicer import fake, stub  # noqa: F401 - fixtures
from upstream import Behaviour, Cut

from meshgate.dialects import uploaded_form
from meshgate.dialects.uploaded_form import Part
from meshgate.v1 import provider_service_pb2 as pb

SOUND = b"x" * 300_000


def asked(message_type, size=300_000, **fields):
    parts = [Part(name, value) for name, value in ({"model": "public-name"} | fields).items()]
    return message_type(
        target=pb.Target(provider="local", model="m1"),
        dialect=pb.DIALECT_OPENAI_TRANSCRIPTIONS,
        body=uploaded_form.write([*parts, Part("file", None, "a.wav", "", size)]),
    )


async def sent(opening, *chunks):
    yield opening
    for chunk in chunks:
        yield pb.UploadExecuteRequest(chunk=chunk)


def plain(**fields):
    return pb.UploadExecuteRequest(plain=asked(pb.ExecuteRequest, **fields))


def streamed(**fields):
    return pb.UploadExecuteRequest(streamed=asked(pb.StreamExecuteRequest, **fields, stream="true"))


async def test_a_plain_answer_is_one_message(stub, fake):  # noqa: F811
    call = stub.UploadExecute(sent(plain(), SOUND[:10], b"", SOUND[10:]))

    [message] = [message async for message in call]

    answer = message.response.answer
    assert json.loads(answer.body)["text"] == Behaviour().text
    assert answer.usage.input_audio_seconds == 91
    assert fake.requests[0].body["files"][0]["size"] == len(SOUND)


async def test_a_streamed_answer_is_its_steps(stub):  # noqa: F811
    call = stub.UploadExecute(sent(streamed(), SOUND))

    steps = [message.step.WhichOneof("step") async for message in call]

    assert (steps[0], steps[-1], set(steps[1:-1])) == ("head", "done", {"chunk"})


async def test_a_cut_stream_is_a_failure(stub, fake):  # noqa: F811
    fake.default(Behaviour(fault=Cut(2)))

    call = stub.UploadExecute(sent(streamed(), SOUND))

    steps = [message.step.WhichOneof("step") async for message in call]
    assert steps[-1] == "failure"


@pytest.mark.parametrize(
    "messages",
    [
        [pb.UploadExecuteRequest(chunk=b"x")],
        [plain(), plain()],
        [plain(size=2), pb.UploadExecuteRequest(chunk=b"x")],
        [plain(size=2), pb.UploadExecuteRequest(chunk=b"xyz")],
    ],
)
async def test_what_is_not_as_it_should_be_reaches_no_upstream(stub, fake, messages):  # noqa: F811
    async def requests():
        for message in messages:
            yield message

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [message async for message in stub.UploadExecute(requests())]

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fake.requests == []
