"""Pictures, sounds, judgements and rankings through the gateway, with OpenAI's own client."""

import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import openai
import pytest
from gateway_process import SMALL_KEY, Gateway, running_gateway
from upstream import Behaviour, Close, ErrorEvent, Match, Refuse, RemoteUpstream
from upstream.media import PICTURE, SOUND_BYTES

pytestmark = pytest.mark.mesh

MODELS = """
  pictures:
    targets: [{provider: main, model: gpt-image-1-mini, prices: {input: 2, input_image: 2.5, output: 8}}]
    retries: {attempts: 1}
  drawings:
    targets:
      - provider: main
        model: dall-e-3
        prices:
          input: 0
          output: 0
          per_image: 0.04
          tiers: {hd-1024x1792: {input: 0, output: 0, per_image: 0.12}}
    retries: {attempts: 1}
  ears:
    targets: [{provider: main, model: whisper-1, prices: {input: 0, output: 0, per_audio_second: 0.0001}}]
    retries: {attempts: 2, backoff: {initial: 10ms, max: 50ms}}
  token-ears:
    targets: [{provider: main, model: gpt-4o-transcribe, prices: {input: 2.5, input_audio: 6, output: 10}}]
    retries: {attempts: 1}
  voice:
    targets: [{provider: main, model: tts-1, prices: {input: 0, output: 0, per_character: 0.000015}}]
    retries: {attempts: 1}
  token-voice:
    targets: [{provider: main, model: gpt-4o-mini-tts, prices: {input: 0.6, output: 12}}]
    retries: {attempts: 1}
  judge:
    targets: [{provider: main, model: omni-moderation-latest, prices: {input: 0, output: 0}}]
  omni-moderation-latest:
    targets: [{provider: main, prices: {input: 0, output: 0}}]
  ranker:
    targets: [{provider: main, model: rerank-v3.5, prices: {input: 0, output: 0, per_search: 0.002}}]
    retries: {attempts: 1}
  guarded-ears:
    targets: [{provider: main, model: gpt-4o-transcribe}]
    retries: {attempts: 1}
    guardrails: [careful]
  guarded-pictures:
    targets: [{provider: main, model: dall-e-3}]
    retries: {attempts: 1}
    guardrails: [careful]
"""
SOUND = b"RIFF" + bytes(range(256)) * 400
LARGE = (b"\r\n--not the boundary\r\n" + b"\0\xff" * 500) * ((25 << 20) // 1022)


@pytest.fixture(scope="module", params=["mesh", "compact"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream_origin: str
) -> Iterator[Gateway]:
    options = ("--compact",) if request.param == "compact" else ()
    directory = tmp_path_factory.mktemp("media")
    with running_gateway(directory, upstream_origin, *options, models=MODELS) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with (
        httpx.Client(trust_env=False) as http,
        openai.OpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=gateway.key, http_client=http, max_retries=0
        ) as client,
    ):
        yield client


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


def cost_usd(response: httpx.Response) -> float:
    return float(response.headers["x-meshgate-cost-usd"])


class TestPictures:
    async def test_they_are_made_and_cost_what_the_upstream_reports(
        self, client: openai.OpenAI, upstream: RemoteUpstream
    ) -> None:
        raw = client.images.with_raw_response.generate(
            model="pictures", prompt="a red fox", n=2, extra_body={"tomorrow": {"n": 1.0}}
        )

        answer = raw.parse()
        assert [image.b64_json for image in answer.data or []] == [PICTURE] * 2
        assert answer.usage is not None
        assert answer.usage.output_tokens == 544
        assert float(raw.headers["x-meshgate-cost-usd"]) == pytest.approx(
            (10 * 2 + 40 * 2.5 + 544 * 8) / 1e6
        )
        [request] = await upstream.requests()
        assert request.body == {
            "model": "gpt-image-1-mini",
            "prompt": "a red fox",
            "n": 2,
            "tomorrow": {"n": 1.0},
        }

    @pytest.mark.parametrize(
        ("asked", "price"), [({}, 0.04), ({"quality": "hd", "size": "1024x1792"}, 0.12)]
    )
    def test_those_without_tokens_cost_by_the_piece_quality_and_size(
        self, client: openai.OpenAI, asked: dict[str, str], price: float
    ) -> None:
        raw = client.images.with_raw_response.generate(
            model="drawings",
            prompt="a red fox",
            n=3,
            **asked,  # type: ignore[arg-type]
        )

        assert float(raw.headers["x-meshgate-cost-usd"]) == pytest.approx(3 * price)

    def test_they_come_in_parts(self, client: openai.OpenAI) -> None:
        stream = client.images.generate(
            model="pictures", prompt="a red fox", stream=True, partial_images=1
        )

        assert [event.type for event in stream] == [
            "image_generation.partial_image",
            "image_generation.completed",
        ]

    def test_a_stream_that_is_cut_never_looks_whole(self, client: openai.OpenAI) -> None:
        prompt = "<<upstream " + json.dumps(
            {"behaviour": {"fault": {"type": "cut", "after_events": 1, "by": "end"}}}
        )

        stream = client.images.generate(model="pictures", prompt=prompt + ">>", stream=True)

        with pytest.raises(openai.APIError):
            list(stream)

    async def test_they_are_edited(self, client: openai.OpenAI, upstream: RemoteUpstream) -> None:
        answer = client.images.edit(
            model="pictures",
            prompt="make it blue",
            image=[("one.png", b"1" * 1000), ("two.png", b"2" * 70_000)],
            n=1,
        )

        assert answer.data is not None
        [request] = await upstream.requests()
        assert request.body["model"] == "gpt-image-1-mini"
        assert request.body["prompt"] == "make it blue"
        assert [(file["filename"], file["size"]) for file in request.body["files"]] == [
            ("one.png", 1000),
            ("two.png", 70_000),
        ]

    def test_a_refusal_of_the_upstream_is_a_400_with_its_words(
        self, client: openai.OpenAI, upstream_script: None
    ) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.generate(model="pictures", prompt="refuse me")

        assert caught.value.code == "moderation_blocked"

    def test_a_secret_in_a_prompt_does_not_pass(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.generate(
                model="guarded-pictures", prompt="draw AKIAIOSFODNN7EXAMPLE please"
            )

        assert caught.value.code == "content_filter"


@pytest.fixture
async def upstream_script(upstream: RemoteUpstream) -> None:
    refuse = Refuse(400, message="no", code="moderation_blocked")
    await upstream.script("refuse me", Behaviour(fault=refuse))


class TestSpeech:
    async def test_it_comes_as_it_is_spoken(
        self, client: openai.OpenAI, upstream: RemoteUpstream
    ) -> None:
        with client.audio.speech.with_streaming_response.create(
            model="voice", voice="alloy", input="hello", response_format="wav"
        ) as response:
            sound = b"".join(response.iter_bytes())

        assert response.headers["content-type"] == "audio/wav"
        assert sound == b"".join(bytes([65 + n]) * SOUND_BYTES for n in range(4))
        [request] = await upstream.requests()
        assert request.body["model"] == "tts-1"

    @pytest.mark.parametrize("by", ["eof", "reset"])
    async def test_what_is_cut_never_ends_well(self, http: httpx.AsyncClient, by: str) -> None:
        script = {"behaviour": {"fault": {"type": "cut", "after_events": 2, "by": by}}}
        asked = {"model": "voice", "input": f"<<upstream {json.dumps(script)}>>", "voice": "alloy"}

        with pytest.raises(httpx.RemoteProtocolError):
            await http.post("/v1/audio/speech", json=asked)

    async def test_events_tell_their_usage(self, http: httpx.AsyncClient) -> None:
        asked = {"model": "token-voice", "input": "a b c", "voice": "ash", "stream_format": "sse"}

        response = await http.post("/v1/audio/speech", json=asked)

        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.text.count("speech.audio.delta") == 4
        assert "speech.audio.done" in response.text

    async def test_what_the_upstream_refuses_is_an_error(self, http: httpx.AsyncClient) -> None:
        script = {"behaviour": {"fault": {"type": "refuse", "status": 401}}}
        asked = {"model": "voice", "input": f"<<upstream {json.dumps(script)}>>", "voice": "alloy"}

        response = await http.post("/v1/audio/speech", json=asked)

        assert response.status_code == 502
        assert response.json()["error"]["type"] == "server_error"


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


class TestModerations:
    async def test_texts_are_judged_for_nothing(self, client: openai.OpenAI) -> None:
        raw = client.moderations.with_raw_response.create(model="judge", input=["harm", "peace"])

        assert [result.flagged for result in raw.parse().results] == [True, False]
        assert float(raw.headers["x-meshgate-cost-usd"]) == 0

    async def test_no_model_is_openais_own(
        self, client: openai.OpenAI, upstream: RemoteUpstream
    ) -> None:
        client.moderations.create(input="peace")

        [request] = await upstream.requests()
        assert request.body == {"input": "peace", "model": "omni-moderation-latest"}


class TestRankings:
    @pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
    async def test_documents_are_ranked_by_the_search_unit(
        self, http: httpx.AsyncClient, upstream: RemoteUpstream, path: str
    ) -> None:
        asked = {"model": "ranker", "query": "fox", "documents": ["a", "b", "c"], "top_n": 2}

        response = await http.post(path, json=asked)

        assert [result["index"] for result in response.json()["results"]] == [0, 1]
        assert cost_usd(response) == pytest.approx(0.002)
        [request] = await upstream.requests()
        assert request.path == "/v1/rerank"
        assert request.body == asked | {"model": "rerank-v3.5"}

    async def test_what_is_not_reported_is_what_was_asked(
        self, http: httpx.AsyncClient, upstream: RemoteUpstream
    ) -> None:
        await upstream.script(Match(path="/rerank"), Behaviour(usage_sent="never"))
        asked = {"model": "ranker", "query": "fox", "documents": ["a"] * 101}

        response = await http.post("/v1/rerank", json=asked)

        assert cost_usd(response) == pytest.approx(2 * 0.002)

    @pytest.mark.parametrize("missing", ["model", "documents", "query"])
    async def test_what_lacks_something_is_a_400_that_names_it(
        self, http: httpx.AsyncClient, missing: str
    ) -> None:
        asked = {"model": "ranker", "query": "fox", "documents": ["a"]}
        del asked[missing]

        response = await http.post("/v1/rerank", json=asked)

        assert response.status_code == 400
        assert response.json()["error"]["param"] == missing
