"""Uploads through the gateway: what was said is transcribed and translated."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx
import openai
import pytest
from gateway_process import ADMIN_KEY, SMALL_KEY, Gateway
from mesh.administration import Admin
from mesh.books import recorded, total
from mesh.media_gateway import SOUND, cost_usd, nameless_files, transcribed
from mesh.shared_gateways import MESH_AND_COMPACT
from mesh.waiting import until
from plain_http import TRUSTS_NOBODY
from upstream import Behaviour, Close, ErrorEvent, Hang, Refuse, RemoteUpstream

from meshgate.v1 import usage_record_pb2

pytestmark = [pytest.mark.mesh, MESH_AND_COMPACT]

LARGE = (b"\r\n--not the boundary\r\n" + b"\0\xff" * 500) * ((25 << 20) // 1022)


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[Admin]:
    async with gateway.client(ADMIN_KEY) as client:
        yield Admin(client)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with (
        httpx.Client(trust_env=False, verify=TRUSTS_NOBODY) as http,
        openai.OpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=gateway.key, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


class TestTranscriptions:
    @pytest.mark.parametrize("way", ["transcriptions", "translations"])
    async def test_what_was_said_is_told(
        self, http: httpx.AsyncClient, upstream: RemoteUpstream, way: str
    ) -> None:
        response = await http.post(
            f"/v1/audio/{way}",
            data={"model": "ears", "prompt": "names: Björk"},
            files={"file": ("fox é.wav", SOUND, "audio/wav")},
        )

        assert response.json()["text"] == Behaviour().text
        [request] = await upstream.requests()
        assert request.path == f"/v1/audio/{way}"
        assert request.body == {
            "model": "whisper-1",
            "prompt": "names: Björk",
            "files": [
                {
                    "name": "file",
                    "filename": "fox é.wav",
                    "content_type": "audio/wav",
                    "size": len(SOUND),
                    "sha256": hashlib.sha256(SOUND).hexdigest(),
                }
            ],
        }

    @pytest.mark.parametrize("form", ["json", "verbose_json", "srt"])
    async def test_seconds_are_paid_for_in_every_format_that_tells_them(
        self, http: httpx.AsyncClient, form: str
    ) -> None:
        response = await http.post(
            "/v1/audio/transcriptions",
            data={"model": "ears", "response_format": form},
            files={"file": ("a.mp3", SOUND)},
        )

        assert response.status_code == 200
        assert cost_usd(response) == pytest.approx(91 * 0.0001)

    async def test_text_is_no_json(self, client: openai.OpenAI) -> None:
        raw = client.audio.transcriptions.with_raw_response.create(
            model="ears", file=("a.wav", SOUND), response_format="text"
        )

        assert raw.headers["content-type"].startswith("text/plain")
        assert raw.text == Behaviour().text + "\n"

    async def test_it_is_streamed(self, client: openai.OpenAI) -> None:
        stream = client.audio.transcriptions.create(
            model="token-ears", file=("a.wav", SOUND), stream=True
        )

        events = list(stream)
        deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
        assert "".join(deltas) == Behaviour().text
        assert events[-1].type == "transcript.text.done"

    async def test_tokens_are_paid_for(self, http: httpx.AsyncClient) -> None:
        response = await http.post(
            "/v1/audio/transcriptions",
            data={"model": "token-ears"},
            files={"file": ("a.mp3", SOUND)},
        )

        assert cost_usd(response) == pytest.approx((20 * 2.5 + 900 * 6 + 9 * 10) / 1e6)

    async def test_a_large_file_comes_whole_whatever_is_in_it(
        self, client: openai.OpenAI, upstream: RemoteUpstream
    ) -> None:
        client.audio.transcriptions.create(model="ears", file=("large.wav", io.BytesIO(LARGE)))

        [request] = await upstream.requests()
        [file] = request.body["files"]
        assert file["size"] == len(LARGE)
        assert file["sha256"] == hashlib.sha256(LARGE).hexdigest()

    async def test_a_larger_one_is_refused(
        self, client: openai.OpenAI, upstream: RemoteUpstream
    ) -> None:
        with pytest.raises(openai.APIStatusError) as caught:
            client.audio.transcriptions.create(model="ears", file=("x.wav", LARGE + b"x" * 65_536))

        assert caught.value.status_code == 413
        assert await upstream.requests() == []

    async def test_the_model_may_come_after_the_file(
        self, http: httpx.AsyncClient, upstream: RemoteUpstream
    ) -> None:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            + SOUND
            + b'\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nears\r\n--b--\r\n'
        )

        response = await http.post(
            "/v1/audio/transcriptions",
            content=body,
            headers={"content-type": "multipart/form-data; boundary=b"},
        )

        assert response.status_code == 200
        [request] = await upstream.requests()
        assert request.body["model"] == "whisper-1"

    async def test_a_second_attempt_brings_the_file_again(
        self, http: httpx.AsyncClient, upstream: RemoteUpstream
    ) -> None:
        await upstream.script("once more", Behaviour(fault=Close()), times=1)

        response = await http.post(
            "/v1/audio/transcriptions",
            data={"model": "ears", "prompt": "once more"},
            files={"file": ("a.mp3", SOUND)},
        )

        assert response.status_code == 200
        first, second = await upstream.requests()
        assert first.body["files"] == second.body["files"]

    async def test_an_upstream_that_refuses_says_why(
        self, http: httpx.AsyncClient, upstream: RemoteUpstream
    ) -> None:
        refuse = Refuse(400, message="Invalid file format.", param="file")
        await upstream.script("wrong file", Behaviour(fault=refuse))

        response = await http.post(
            "/v1/audio/transcriptions",
            data={"model": "ears", "prompt": "wrong file"},
            files={"file": ("a.xyz", SOUND)},
        )

        assert response.status_code == 400
        assert response.json()["error"]["message"] == "Invalid file format."

    async def test_an_error_in_a_stream_reaches_the_client(
        self, client: openai.OpenAI, upstream: RemoteUpstream
    ) -> None:
        behaviour = Behaviour(fault=ErrorEvent(after_events=3), event_delay_seconds=0.05)
        await upstream.script("break", behaviour)

        stream = client.audio.transcriptions.create(
            model="token-ears", file=("a.wav", SOUND), prompt="break", stream=True
        )

        with pytest.raises(openai.APIError):
            list(stream)

    async def test_what_was_said_is_masked_streamed_and_plain(
        self, client: openai.OpenAI, upstream: RemoteUpstream
    ) -> None:
        said = "Write to jane.doe@example.com, please."
        await upstream.script("mail", Behaviour(text=said, chunks=6))

        plain = client.audio.transcriptions.create(
            model="guarded-ears", file=("a.wav", SOUND), prompt="mail"
        )
        stream = client.audio.transcriptions.create(
            model="guarded-ears", file=("a.wav", SOUND), prompt="mail", stream=True
        )

        events = list(stream)
        deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
        [done] = [event.text for event in events if event.type == "transcript.text.done"]
        assert "jane" not in plain.text
        assert plain.text.startswith("Write to ")
        assert "".join(deltas) == done == plain.text

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("multipart/form-data; boundary=b", b"--b\r\nnothing"),
            ("multipart/form-data", b"--b--"),
            ("application/json", b"{}"),
            ("multipart/form-data; boundary=b", b""),
        ],
    )
    async def test_what_is_no_form_is_a_400(
        self, http: httpx.AsyncClient, content_type: str, body: bytes
    ) -> None:
        response = await http.post(
            "/v1/audio/transcriptions", content=body, headers={"content-type": content_type}
        )

        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"

    async def test_a_stranger_brings_nothing(self, gateway: Gateway) -> None:
        async with gateway.client("wrong-key") as http:
            response = await http.post(
                "/v1/audio/transcriptions", data={"model": "ears"}, files={"file": ("a", SOUND)}
            )

        assert response.status_code == 401

    async def test_a_key_for_other_models_is_refused(self, gateway: Gateway) -> None:
        async with gateway.client(SMALL_KEY) as http:
            response = await http.post(
                "/v1/audio/transcriptions", data={"model": "ears"}, files={"file": ("a", SOUND)}
            )

        assert response.status_code == 403


class TestWhoLeaves:
    async def test_an_upload_that_breaks_off_leaves_nothing(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("REQUESTS", 1))
        host, _, port = gateway.base_url.removeprefix("http://").rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
            "content-type: multipart/form-data; boundary=b\r\ncontent-length: 20000000\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        )
        writer.write(head.encode() + b"x" * 3_000_000)
        await writer.drain()
        await until(holds_files(gateway), 60)

        writer.close()

        await until(holds_none(gateway), 60)
        assert await upstream.requests() == []
        async with gateway.client(key) as http:
            assert (await transcribed(http)).status_code == 200  # it was not even counted
        [record] = await recorded(gateway, key_id)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_ANSWERED

    async def test_one_who_waits_no_longer_for_the_answer_pays_for_the_question(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("COST", 1_000_000_000))
        await upstream.script("hang", Behaviour(fault=Hang()))

        async with gateway.client(key) as http:
            waiting = asyncio.create_task(transcribed(http, prompt="hang"))
            await until(has_come(upstream), 60)
            waiting.cancel()
            await asyncio.wait([waiting])

        [record] = await recorded(gateway, key_id)
        assert record.outcome == usage_record_pb2.REQUEST_OUTCOME_CANCELLED
        assert record.charges[0].usage.input_audio_seconds == -(-len(SOUND) // 16_000)
        await until(holds_none(gateway), 60)


def holds_files(gateway: Gateway) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return nameless_files(gateway) > 0

    return holds


def holds_none(gateway: Gateway) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return nameless_files(gateway) == 0

    return holds


def has_come(upstream: RemoteUpstream) -> Callable[[], Awaitable[bool]]:
    async def come() -> bool:
        return bool(await upstream.requests())

    return come
