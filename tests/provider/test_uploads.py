"""Requests that bring files, and answers that are not JSON, by way of every client."""

import asyncio
import hashlib
import json
from contextlib import aclosing

import pytest
from provider.attempts import KEY, attempt, failure_of, streamed
from provider.posting import posted
from provider.raw_server import raw_server
from upstream import Behaviour, Cut, Gate, Match, Refuse
from upstream.media import SOUND_BYTES

from meshgate.dialects import uploaded_form
from meshgate.dialects.neutral import Usage
from meshgate.dialects.uploaded_form import Part
from meshgate.provider.attempt import StreamHead
from meshgate.provider.failures import AttemptFailedError, FailureKind
from meshgate.provider.upstream import StreamedBody
from meshgate.runtime.errors import InvalidRequestError

KIB = 1024
PIECES = [b"a" * (300 * KIB), b"\r\n--x" * 10, b"c" * KIB]
SOUND = b"".join(PIECES)


def form(*files, **fields):
    parts = [Part("file", None, "a.wav", "audio/wav", size) for size in files or [len(SOUND)]]
    return uploaded_form.write([*parts, *(Part(name, text) for name, text in fields.items())])


async def came(*pieces):
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


def transcription(*files, pieces=PIECES, **fields):
    body = form(*files, **({"model": "public-name"} | fields))
    return attempt(body, "openai_transcriptions", upload=came(*pieces))


def speech(text="hello there", **members):
    body = json.dumps({"model": "public-name", "input": text, "voice": "alloy", **members})
    return attempt(body.encode(), "openai_speech")


class TestUploads:
    async def test_a_form_arrives_whole_with_its_fields_first(self, upstream, fake):
        answer = await upstream.answer(transcription(language="de"))

        assert json.loads(answer.body)["text"] == Behaviour().text
        assert answer.usage == Usage(input_audio_seconds=91)
        [request] = fake.requests
        assert request.header("content-length") is not None
        assert list(request.body) == ["files", "model", "language"]
        assert request.body["model"] == "upstream-model"
        [file] = request.body["files"]
        assert file["sha256"] == hashlib.sha256(SOUND).hexdigest()

    async def test_several_files_are_told_apart_wherever_pieces_end(self, upstream, fake):
        await upstream.answer(transcription(1, 0, 300 * KIB, len(SOUND) - 300 * KIB - 1))

        sizes = [file["size"] for file in fake.requests[0].body["files"]]
        assert sizes == [1, 0, 300 * KIB, len(SOUND) - 300 * KIB - 1]

    async def test_what_it_is_written_in_is_told(self, upstream):
        text = await upstream.answer(transcription(response_format="text"))
        told = await upstream.answer(transcription())

        assert ("content-type", "text/plain; charset=utf-8") in text.headers
        assert ("content-type", "application/json") in told.headers

    async def test_a_stream_is_followed(self, upstream):
        wanted = transcription(stream="true")

        result = await streamed(upstream, wanted)

        assert result.done.usage == Usage(input_audio_seconds=91)

    async def test_an_upload_that_never_ends_reaches_the_upstream_as_it_comes(self, upstream, fake):
        more = asyncio.Event()

        async def slow():
            yield PIECES[0]
            await more.wait()
            yield b""

        body = form(300 * KIB, model="m")
        running = asyncio.create_task(
            upstream.answer(attempt(body, "openai_transcriptions", upload=slow()))
        )
        while not fake.open_connections:
            await asyncio.sleep(0.001)
        assert fake.requests == []
        more.set()

        answer = await running

        assert answer.usage is not None

    @pytest.mark.parametrize("pieces", [PIECES[:1], [*PIECES, b"more"], []])
    async def test_one_that_is_not_as_it_was_announced_is_never_whole(self, upstream, fake, pieces):
        with pytest.raises((InvalidRequestError, AttemptFailedError)):
            await upstream.answer(transcription(pieces=pieces))

        assert fake.requests == []

    async def test_a_refusal_is_heard_before_all_is_sent(self, make_client):
        refused = b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno"
        more = asyncio.Event()

        async def endless():
            yield b"x" * KIB
            await more.wait()
            yield b"x" * (7 * KIB)

        async def refusing(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(refused)
            more.set()
            await reader.read()  # until the client has left: what it still sends is not thrown back
            writer.close()

        async with (
            raw_server(refusing) as url,
            posted(make_client(), url, StreamedBody(8 * KIB, endless())) as response,
        ):
            assert response.status == 413
            assert await response.read(KIB) == b"no"

    async def test_connections_are_used_again(self, upstream, fake):
        for _ in range(3):
            await upstream.answer(transcription())

        assert {request.connection for request in fake.requests} == {0}

    async def test_the_words_of_a_refusal_are_told(self, upstream, fake):
        fake.default(Behaviour(fault=Refuse(400, message="Invalid file format.", param="file")))

        failure = await failure_of(upstream, transcription())

        assert failure.kind is FailureKind.INVALID_REQUEST
        assert (failure.message, failure.field) == ("Invalid file format.", "file")

    async def test_who_leaves_during_an_upload_leaves_no_connection(self, upstream, fake):
        async def stuck():
            yield PIECES[0]
            await asyncio.Event().wait()

        wanted = attempt(form(model="m"), "openai_transcriptions", upload=stuck())
        running = asyncio.create_task(upstream.answer(wanted))
        while not fake.open_connections:
            await asyncio.sleep(0.001)

        running.cancel()
        await asyncio.wait([running])

        while fake.open_connections:
            await asyncio.sleep(0.001)
        assert fake.requests == []

    async def test_who_leaves_at_any_moment_leaves_no_connection(self, upstream, fake):
        async def stuck():
            yield PIECES[0]
            await asyncio.Event().wait()

        for moment in range(40):
            wanted = attempt(form(model="m"), "openai_transcriptions", upload=stuck())
            running = asyncio.create_task(upstream.answer(wanted))
            for _ in range(moment):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait([running])

        while fake.open_connections:
            await asyncio.sleep(0.001)
        assert fake.requests == []


class TestSpeech:
    async def test_sound_comes_as_it_is_made(self, upstream, fake):
        gate = Gate()
        fake.script(Match(), Behaviour(chunks=2), gate=gate)
        gate.let(2)

        async with aclosing(upstream.stream(speech(response_format="wav"))) as steps:
            head = await anext(steps)
            first = await anext(steps)
            assert fake.requests[0].events_sent == 1
            gate.open()
            rest = [step async for step in steps]

        assert isinstance(head, StreamHead)
        assert ("content-type", "audio/wav") in head.headers
        assert first + b"".join(rest[:-1]) == b"A" * SOUND_BYTES + b"B" * SOUND_BYTES
        assert rest[-1].usage is None

    @pytest.mark.parametrize("by", ["eof", "reset"])
    async def test_what_is_cut_is_a_failure(self, upstream, fake, by):
        fake.default(Behaviour(fault=Cut(2, by=by)))

        with pytest.raises(AttemptFailedError) as caught:
            async with aclosing(upstream.stream(speech())) as steps:
                _ = [step async for step in steps]

        assert caught.value.failure.kind is FailureKind.CONNECTION

    async def test_events_tell_their_usage(self, upstream):
        result = await streamed(upstream, speech(stream_format="sse"))

        assert result.done.usage == Usage(input_tokens=2, output_tokens=77, output_audio_tokens=77)

    @pytest.mark.parametrize("media_type", ["application/json", "text/html"])
    async def test_what_is_no_sound_is_a_failure(self, upstream, fake, media_type):
        fake.default(Behaviour(headers={"content-type": media_type}))

        with pytest.raises(AttemptFailedError) as caught:
            async with aclosing(upstream.stream(speech())) as steps:
                _ = [step async for step in steps]

        assert caught.value.failure.kind is FailureKind.SERVER_ERROR

    async def test_a_credential_that_is_refused_is_not_told(self, make_upstream, fake):
        wrong = make_upstream(fake.base_url, authorization="Bearer wrong-key-of-ours")

        with pytest.raises(AttemptFailedError) as caught:
            async with aclosing(wrong.stream(speech())) as steps:
                _ = [step async for step in steps]

        assert caught.value.failure.kind is FailureKind.AUTHENTICATION
        assert KEY not in caught.value.failure.message
