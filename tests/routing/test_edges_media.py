"""The media APIs as Envoy meets them: bodies, uploads and answers that are not JSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.fakes import (
    FakeAuth,
    FakeProvider,
    answer,
    broken,
    chunk,
    done,
    failing,
    head,
    model,
    snapshot,
)
from routing.gateway import BINDINGS, Gateway, credentials, ending_of, serving
from routing.openai_edge import told

from meshgate.config.snapshot import Retries
from meshgate.routing.uploads.places import MOST_OF_ONE_CALLER
from meshgate.v1 import provider_service_pb2 as pb

OK = grpc.StatusCode.OK
MODELS = snapshot(model("m", "a", "b", retries=Retries(attempts=2)))
TYPE = "multipart/form-data; boundary=xyz"
FORM = (
    b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nsound\r\n'
    b'--xyz\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--xyz--\r\n'
)
SPEECH = HttpBody(data=b'{"model":"m","input":"hello","voice":"alloy"}')


@pytest.fixture(params=BINDINGS)
async def gateway(
    request: pytest.FixtureRequest, auth: FakeAuth, provider: FakeProvider
) -> AsyncIterator[Gateway]:
    async with serving(request.param, MODELS, auth, provider) as gateway:
        yield gateway


async def coming(body: bytes = FORM, size: int = 7) -> AsyncIterator[HttpBody]:
    """A body in pieces, of which the first says what it is."""
    for at in range(0, len(body), size):
        yield HttpBody(content_type="" if at else TYPE, data=body[at : at + size])


async def whole() -> AsyncIterator[HttpBody]:
    """A body in one piece: grpcio's clients lose the status where they are still writing."""
    yield HttpBody(content_type=TYPE, data=FORM)


def told_as(media_type: str, response: Any) -> Any:
    """The same response of provider, in another media type."""
    response.answer.headers.add(name="content-type", value=media_type)
    return response


def sounding(*pieces: Any, media_type: str = "audio/wav") -> list[Any]:
    begun = head()
    begun.head.headers.add(name="content-type", value=media_type)
    return [begun, *pieces]


class TestUploads:
    async def test_the_form_goes_on_without_its_files_and_these_follow(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", told_as("text/plain", answer(b"hi\n")))

        ending = await ending_of(gateway.media.Transcribe(coming(), **credentials()))

        assert ending.messages == [HttpBody(content_type="text/plain", data=b"hi\n")]
        assert ending.headers["x-meshgate-provider"] == "a"
        [request] = provider.requests
        assert request.dialect == pb.DIALECT_OPENAI_TRANSCRIPTIONS
        assert json.loads(request.body) == [
            {"name": "file", "filename": "a.wav", "size": 5},
            {"name": "model", "value": "m"},
        ]
        assert provider.uploads == [b"sound"]

    async def test_each_attempt_gets_them_anew(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", failing("server_error"))
        provider.at("b", answer(b'{"text":"hi"}'))

        ending = await ending_of(gateway.media.Translate(coming(), **credentials()))

        assert ending.code is grpc.StatusCode.OK
        assert provider.tried == ["a", "b"]
        assert provider.uploads == [b"sound", b"sound"]

    async def test_a_streamed_answer_goes_out_as_it_comes(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        event = b'data: {"type":"transcript.text.done","text":"hi"}\n\n'
        provider.at("a", [head(), chunk(event), done()])
        stream = b'--xyz\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'

        ending = await ending_of(gateway.media.Transcribe(coming(stream + FORM), **credentials()))

        [message] = ending.messages
        assert message.content_type.startswith("text/event-stream")
        assert message.data == event

    async def test_nothing_is_read_of_a_stranger(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        ending = await ending_of(gateway.media.Transcribe(whole(), **credentials("wrong")))

        status, error = told(ending)
        assert (status, error["code"]) == (401, "invalid_api_key")
        assert provider.uploads == []

    @pytest.mark.parametrize("body", [b"", FORM[:-4], b"nonsense"])
    async def test_what_is_no_form_is_refused(
        self, gateway: Gateway, provider: FakeProvider, body: bytes
    ) -> None:
        ending = await ending_of(gateway.media.EditImages(coming(body), **credentials()))

        status, error = told(ending)
        assert (status, error["type"]) == (400, "invalid_request_error")
        assert provider.uploads == []

    async def test_no_caller_takes_the_places_of_all(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", answer(b'{"text":"hi"}'))
        rest = asyncio.Event()

        async def held() -> AsyncIterator[HttpBody]:
            yield HttpBody(content_type=TYPE, data=FORM[:-4])
            await rest.wait()
            yield HttpBody(content_type=TYPE, data=FORM[-4:])

        def begun() -> asyncio.Future[Any]:
            return asyncio.ensure_future(
                ending_of(gateway.media.Transcribe(held(), **credentials()))
            )

        held_back = [begun() for _ in range(MOST_OF_ONE_CALLER)]
        ask = gateway.media.Transcribe
        while (ending := await ending_of(ask(whole(), **credentials()))).code is OK:
            # Not all of them are under way yet, and this one may have been in the place of one.
            held_back = [begun() if one.done() else one for one in held_back]

        status, error = told(ending)
        assert (status, error["code"]) == (503, "service_unavailable")
        rest.set()
        await asyncio.gather(*held_back)

    async def test_one_that_does_not_come_in_time_is_given_up(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        async def trickling() -> AsyncIterator[HttpBody]:
            yield HttpBody(content_type=TYPE, data=FORM[:-4])
            await asyncio.Event().wait()

        given = credentials()
        given["metadata"] = (*given["metadata"], ("x-meshgate-timeout", "200ms"))

        ending = await ending_of(gateway.media.Transcribe(trickling(), **given))

        assert ending.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert told(ending)[0] == 504
        assert provider.tried == []


class TestSpeech:
    async def test_sound_goes_out_as_it_comes(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", sounding(chunk(b"\xff\x00"), chunk(b"\x01"), done()))

        ending = await ending_of(gateway.media.Speak(SPEECH, **credentials()))

        assert ending.code is grpc.StatusCode.OK
        assert ending.messages == [
            HttpBody(content_type="audio/wav", data=b"\xff\x00"),
            HttpBody(content_type="audio/wav", data=b"\x01"),
        ]

    async def test_what_breaks_off_cannot_be_taken_for_whole(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        provider.at("a", sounding(chunk(b"\xff\x00"), broken("connection")))

        ending = await ending_of(gateway.media.Speak(SPEECH, **credentials()))

        assert ending.code is not grpc.StatusCode.OK
        *whole, torn = ending.messages
        assert torn is None  # what cannot be read
        assert [message.data for message in whole] == [b"\xff\x00"]

    async def test_events_that_break_off_say_so(
        self, gateway: Gateway, provider: FakeProvider
    ) -> None:
        event = chunk(b"data: {}\n\n")
        provider.at("a", sounding(event, broken("connection"), media_type="text/event-stream"))

        ending = await ending_of(gateway.media.Speak(SPEECH, **credentials()))

        assert ending.messages[-1].data.startswith(b'data: {"error":')


@pytest.mark.parametrize(
    ("method", "body", "dialect"),
    [
        ("GenerateImages", {"prompt": "x"}, pb.DIALECT_OPENAI_IMAGES),
        ("Moderate", {"input": "x"}, pb.DIALECT_OPENAI_MODERATIONS),
        ("Rerank", {"query": "x", "documents": ["y"]}, pb.DIALECT_RERANK),
    ],
)
async def test_json_passes_as_it_is(
    gateway: Gateway, provider: FakeProvider, method: str, body: dict[str, Any], dialect: int
) -> None:
    provider.at("a", answer(b'{"future": 1 }'))
    asked = HttpBody(data=json.dumps(body | {"model": "m"}).encode())

    ending = await ending_of(getattr(gateway.media, method)(asked, **credentials()))

    assert ending.messages == [HttpBody(content_type="application/json", data=b'{"future": 1 }')]
    assert (provider.requests[0].dialect, provider.requests[0].body) == (dialect, asked.data)
