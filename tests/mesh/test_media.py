"""Pictures, speech, judgements and rankings through the gateway, with OpenAI's own client."""

import json
from collections.abc import AsyncIterator, Iterator

import httpx
import openai
import pytest
from gateway_process import ADMIN_KEY, Gateway
from mesh.administration import Admin
from mesh.books import recorded, total
from mesh.media_gateway import cost_usd, transcribed
from mesh.shared_gateways import MESH_AND_COMPACT
from plain_http import TRUSTS_NOBODY
from upstream import Behaviour, Match, Refuse, RemoteUpstream
from upstream.media import PICTURE, SOUND_BYTES

pytestmark = [pytest.mark.mesh, MESH_AND_COMPACT]

DRAWINGS = {"model": "drawings", "prompt": "a red fox"}
SPOKEN = {"model": "voice", "input": "hello", "voice": "alloy"}


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


class TestLimits:
    async def test_a_budget_holds_for_pictures_before_they_are_made(
        self, gateway: Gateway, admin: Admin, upstream: RemoteUpstream
    ) -> None:
        key_id, key = await admin.key(total("COST", 100_000_000))

        async with gateway.client(key) as http:
            answers = [
                await http.post("/v1/images/generations", json=DRAWINGS | {"n": count})
                for count in (3, 2, 1)
            ]

        assert [answer.status_code for answer in answers] == [429, 200, 429]
        assert answers[0].json()["error"]["code"] == "insufficient_quota"
        assert len(await upstream.requests()) == 1
        [record] = await recorded(gateway, key_id)
        [charge] = record.charges
        assert (charge.usage.images, charge.cost_nanos, charge.estimated) == (2, 80_000_000, False)
        assert record.dialect == "openai_images"

    async def test_requests_are_counted_whatever_they_bring(
        self, gateway: Gateway, admin: Admin
    ) -> None:
        _, key = await admin.key(total("REQUESTS", 2))

        async with gateway.client(key) as http:
            statuses = [
                (await http.post("/v1/audio/speech", json=SPOKEN)).status_code,
                (await transcribed(http)).status_code,
                (await transcribed(http)).status_code,
            ]

        assert statuses == [200, 200, 429]

    async def test_characters_are_booked_where_sound_tells_nothing(
        self, gateway: Gateway, admin: Admin
    ) -> None:
        key_id, key = await admin.key(total("COST", 1_000_000_000))

        async with gateway.client(key) as http:
            await http.post("/v1/audio/speech", json=SPOKEN)

        [record] = await recorded(gateway, key_id)
        [charge] = record.charges
        assert charge.usage.input_characters == len(SPOKEN["input"])
        assert charge.cost_nanos == 15_000 * len(SPOKEN["input"])
        assert charge.estimated
