"""Answers of pictures, sounds, judgements and rankings: what is read of them on their way through."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects import sse
from meshgate.dialects.answers import CutStreamError, MalformedAnswerError
from meshgate.dialects.inspection import inspection
from meshgate.dialects.media import MEDIA
from meshgate.dialects.metering import meter
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.translation import translator

TOKENS = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}
DETAILS = {"text_tokens": 4, "audio_tokens": 10}


def usage_of(dialect: str, answer: Any) -> Usage | None:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    passed = translator(dialect, dialect).answer(body, created=0)
    assert passed.body == body
    return passed.glance.usage


class TestUsage:
    # openai-python 2.x, types/images_response.py
    def test_of_pictures_in_tokens(self) -> None:
        details = {"image_tokens": 40, "text_tokens": 10}
        usage = {"input_tokens": 50, "input_tokens_details": details, "output_tokens": 60}
        answer = {"data": [{"b64_json": "x"}] * 2, "usage": usage, "quality": "High"}

        assert usage_of("openai_images", answer | {"size": "1024x1024"}) == Usage(
            input_tokens=50,
            input_image_tokens=40,
            output_tokens=60,
            output_image_tokens=60,
            images=2,
            service_tier="high-1024x1024",
        )

    def test_of_pictures_that_have_no_tokens(self) -> None:
        assert usage_of("openai_images", {"data": [{"url": "x"}]}) == Usage(images=1)

    def test_of_words_among_pictures(self) -> None:
        details = {"image_tokens": 50, "text_tokens": 10}
        usage = {"input_tokens": 1, "output_tokens": 60, "output_tokens_details": details}

        found = usage_of("openai_image_edits", {"data": [{}], "usage": usage})

        assert found is not None
        assert found.output_image_tokens == 50

    # openai-python 2.x, types/audio/transcription.py and transcription_verbose.py
    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (
                {"text": "hi", "usage": TOKENS | {"input_token_details": DETAILS}},
                Usage(input_tokens=14, input_audio_tokens=10, output_tokens=45),
            ),
            (
                {"text": "hi", "usage": {"type": "duration", "seconds": 9.2}},
                Usage(input_audio_seconds=10),
            ),
            ({"text": "hi", "duration": 8.470000267028809}, Usage(input_audio_seconds=9)),
            ({"text": "hi"}, None),
            ({"text": "hi", "usage": {"type": "duration", "seconds": -1}}, None),
            ({"text": "hi", "usage": "much"}, None),
            (b"hi there\n", None),
            (b"", None),
            (b"1\n00:00:00,000 --> 00:01:02,500\nhi\n\n", Usage(input_audio_seconds=63)),
            (b"WEBVTT\n\n00:00.000 --> 01:02.000\nhi\n", Usage(input_audio_seconds=62)),
            (
                b"WEBVTT\n\n00:01.000 --> 00:02.000\na\n\n01:00:00.000 --> 01:00:00.001\nb\n",
                Usage(input_audio_seconds=3601),
            ),
        ],
    )
    def test_of_transcriptions(self, answer: Any, expected: Usage | None) -> None:
        assert usage_of("openai_transcriptions", answer) == expected

    # docs.cohere.com/reference/rerank; api.jina.ai/redoc; docs.voyageai.com/reference/reranker-api
    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            (
                {"results": [], "meta": {"billed_units": {"search_units": 2}}},
                Usage(search_units=2),
            ),
            (
                {"results": [], "meta": {"billed_units": {"input_tokens": 7.0}}},
                Usage(input_tokens=7),
            ),
            ({"results": [{"index": 0}], "usage": {"total_tokens": 9}}, Usage(input_tokens=9)),
            ({"data": [{"index": 0}], "usage": {"total_tokens": 9}}, Usage(input_tokens=9)),
            ({"results": [{"index": 0}], "meta": {"api_version": {"version": "2"}}}, None),
            ({"results": []}, None),
        ],
    )
    def test_of_rankings(self, told: Any, expected: Usage | None) -> None:
        assert usage_of("rerank", told) == expected

    def test_of_judgements_there_is_none(self) -> None:
        assert usage_of("openai_moderations", {"results": [{"flagged": False}]}) is None


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai_images", b'{"data":[]}'),
        ("openai_images", b'{"error":{"message":"no"}}'),
        ("openai_transcriptions", b'{"error":{"message":"no"}}'),
        ("openai_transcriptions", b"\xff\xfe"),
        ("openai_moderations", b'{"results":[]}'),
        ("rerank", b'{"results":[{"relevance_score":1}]}'),
        ("rerank", b"{}"),
        ("rerank", b"[" * 10_000),
    ],
)
def test_what_is_no_answer_is_malformed(dialect: str, body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        translator(dialect, dialect).answer(body, created=0)


PICTURES = [
    {"type": "image_generation.partial_image", "b64_json": "a", "partial_image_index": 0},
    {"type": "image_generation.completed", "b64_json": "b", "usage": TOKENS, "size": "1x1"},
]
SPOKEN = [
    {"type": "speech.audio.delta", "audio": "QQ=="},
    {"type": "speech.audio.done", "usage": TOKENS},
]
SAID = [
    {"type": "transcript.text.delta", "delta": "one "},
    {"type": "transcript.text.delta", "delta": "two"},
    {"type": "transcript.text.done", "text": "one two", "usage": TOKENS},
]
STREAMS = {"openai_images": PICTURES, "openai_speech": SPOKEN, "openai_transcriptions": SAID}


def written(events: list[dict[str, Any]], *, named: bool = False) -> bytes:
    return b"".join(
        sse.write(sse.Event(json.dumps(event).encode(), event["type"].encode() if named else b""))
        for event in events
    )


def followed(dialect: str, data: bytes, cuts: list[int]) -> tuple[Any, bytes]:
    stream = translator(dialect, dialect).stream(created=0, include_usage=True)
    bounds = [0, *sorted(cuts), len(data)]
    passed = b"".join(stream.feed(data[start:end]) for start, end in pairwise(bounds))
    return stream, passed + stream.close()


class TestStreams:
    @given(st.sampled_from(sorted(STREAMS)), st.booleans(), st.data())
    def test_events_pass_untouched_wherever_they_are_split(
        self, dialect: str, named: bool, data: st.DataObject
    ) -> None:
        sent = written(STREAMS[dialect], named=named)
        cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=8))

        stream, passed = followed(dialect, sent, cuts)

        assert passed == sent
        assert stream.started
        assert stream.done
        assert stream.usage.input_tokens == 14

    @pytest.mark.parametrize("dialect", sorted(STREAMS))
    def test_one_that_is_cut_before_its_last_event_is_never_whole(self, dialect: str) -> None:
        whole = written(STREAMS[dialect][:-1])

        with pytest.raises(CutStreamError):
            followed(dialect, whole, [])
        with pytest.raises(CutStreamError):
            followed(dialect, whole + written(STREAMS[dialect][-1:])[:-9], [])

    @pytest.mark.parametrize("dialect", sorted(STREAMS))
    def test_an_error_is_not_passed_on(self, dialect: str) -> None:
        error = {"type": "error", "error": {"message": "no more", "code": "server_error"}}
        sent = written([STREAMS[dialect][0], error, *STREAMS[dialect]])

        stream, passed = followed(dialect, sent, [])

        assert passed == written(STREAMS[dialect][:1])
        assert stream.error.message == "no more"
        assert not stream.done

    @pytest.mark.parametrize("dialect", sorted(STREAMS))
    def test_what_is_no_event_is_malformed(self, dialect: str) -> None:
        with pytest.raises(MalformedAnswerError):
            followed(dialect, b"data: nonsense\n\n", [])

    def test_several_pictures_are_counted_together(self) -> None:
        stream, _ = followed("openai_images", written(PICTURES * 3), [])

        assert stream.usage.images == 3
        assert stream.usage.output_tokens == 3 * 45

    def test_a_done_that_none_of_them_has_does_no_harm(self) -> None:
        stream, passed = followed("openai_images", written(PICTURES) + b"data: [DONE]\n\n", [])

        assert stream.done
        assert passed == written(PICTURES)

    def test_sound_passes_as_it_comes(self) -> None:
        stream = translator("openai_speech", "openai_speech").stream(created=0, include_usage=False)

        assert not stream.started
        assert stream.feed(b"\xff\n\n") == b"\xff\n\n"
        assert stream.started
        assert not stream.done
        assert stream.close() == b""
        assert stream.done
        assert stream.usage is None

    def test_no_sound_at_all_is_no_answer(self) -> None:
        stream = translator("openai_speech", "openai_speech").stream(created=0, include_usage=False)

        with pytest.raises(CutStreamError):
            stream.close()

    @pytest.mark.parametrize("dialect", ["openai_moderations", "rerank"])
    def test_others_have_none(self, dialect: str) -> None:
        with pytest.raises(Exception, match="knows no streams"):
            translator(dialect, dialect).stream(created=0, include_usage=False)


class TestWhatWasSaid:
    def test_it_is_counted_once(self) -> None:
        tally = meter("openai_transcriptions").tally(answer_id="", served_model="", created=0)

        tally.take(written(SAID[:2]))
        assert not tally.ended
        tally.take(written(SAID[2:]))

        assert tally.texts() == ["one two"]
        assert tally.text_bytes == tally.kept_bytes == 7
        assert tally.ended

    def test_what_is_told_only_at_the_end_is_counted(self) -> None:
        tally = meter("openai_transcriptions").tally(answer_id="", served_model="", created=0)

        tally.take(written(SAID[2:]))

        assert tally.texts() == ["one two"]

    def test_a_stream_that_is_ended_early_ends_with_what_was_said(self) -> None:
        tally = meter("openai_transcriptions").tally(answer_id="", served_model="", created=0)
        tally.take(written(SAID[:1]))

        ending = tally.ending(FinishReason.LENGTH, None, include_usage=True)

        stream, _ = followed("openai_transcriptions", written(SAID[:1]) + ending, [])
        assert stream.done
        assert b'"one "' in ending

    def test_pictures_and_sounds_are_not_counted(self) -> None:
        for dialect in ("openai_images", "openai_speech"):
            tally = meter(dialect).tally(answer_id="", served_model="", created=0)
            tally.take(written(STREAMS[dialect]))

            assert (tally.text_bytes, tally.ended, tally.texts()) == (0, False, [])

    @pytest.mark.parametrize(
        ("answer", "masked"),
        [
            (b"my secret\n", b"my ***\n"),
            (
                b'{"text":"my secret\\n","usage":{"a":1.0}}',
                b'{"text":"my ***\\n","usage":{"a":1.0}}',
            ),
            (
                b'{"text":"my secret\\n","segments":[{"text":"my secret"}],"duration":1.50}',
                b'{"text":"my ***\\n","segments":null,"duration":1.50}',
            ),
        ],
    )
    def test_it_is_masked_wherever_it_stands(self, answer: bytes, masked: bytes) -> None:
        cut = inspection("openai_transcriptions").cut_answer(answer)
        [segment] = cut.segments

        assert cut.masked({segment.locator: "my ***\n"}) == masked
        assert cut.masked({}) == answer

    @pytest.mark.parametrize(
        ("answer", "blocked"),
        [
            (b"my secret", b""),
            (b'{"text":"my secret","words":[{"word":"my"}],"usage":{}}', b'{"text":"","usage":{}}'),
        ],
    )
    def test_nothing_is_left_of_it_where_it_is_blocked(self, answer: bytes, blocked: bytes) -> None:
        assert inspection("openai_transcriptions").blocked_answer(answer) == blocked

    def test_what_was_held_back_comes_before_the_end(self) -> None:
        stream = inspection("openai_transcriptions").stream()
        one, two, done = stream.take(written(SAID))

        shown = one.written(["on"]) + two.written([""]) + done.written(["e two"])

        assert [event["type"] for event in told(shown)] == [
            "transcript.text.delta",
            "transcript.text.delta",
            "transcript.text.delta",
            "transcript.text.done",
        ]
        assert "".join(event.get("delta", "") for event in told(shown)) == "one two"
        assert told(shown)[-1] == SAID[2]
        assert [piece.text for event in (one, two, done) for piece in event.pieces] == [
            "one ",
            "two",
            "",
        ]
        assert done.is_end

    def test_what_is_told_only_at_the_end_is_looked_at_there(self) -> None:
        [done] = inspection("openai_transcriptions").stream().take(written(SAID[2:]))

        assert [piece.text for piece in done.pieces] == ["one two"]
        assert told(done.written(["***"]))[0]["text"] == "***"

    def test_a_speakers_segment_is_a_text_of_its_own(self) -> None:
        segment = {"type": "transcript.text.segment", "speaker": "A", "text": "one two", "end": 1.5}
        one, two, whole, done = (
            inspection("openai_transcriptions")
            .stream()
            .take(written([*SAID[:2], segment, SAID[2]]))
        )
        [piece] = whole.pieces

        shown = [
            event.written([text])
            for event, text in [(one, "one "), (two, "***"), (whole, "one ***"), (done, "")]
        ]

        assert (piece.channel, piece.text, piece.is_last) == ("segment 1", "one two", True)
        assert told(shown[2]) == [segment | {"text": "one ***"}]
        assert told(shown[3])[-1]["text"] == "one ***"

    @pytest.mark.parametrize("dialect", ["openai_images", "openai_speech"])
    def test_what_has_no_text_is_shown_as_it_is(self, dialect: str) -> None:
        [event] = inspection(dialect).stream().take(b"\xff\x00")

        assert event.pieces == ()
        assert event.written([]) == b"\xff\x00"


class TestPicturesInWords:
    ANSWER = b'{"created":1,"data":[{"url":"https://x","revised_prompt":"my secret"}]}'

    def test_what_was_made_of_a_prompt_is_looked_at(self) -> None:
        cut = inspection("openai_images").cut_answer(self.ANSWER)
        [segment] = cut.segments

        assert segment.text == "my secret"
        assert cut.masked({segment.locator: "***"}) == self.ANSWER.replace(b"my secret", b"***")

    def test_a_blocked_answer_has_no_pictures(self) -> None:
        blocked = inspection("openai_images").blocked_answer(self.ANSWER)

        assert json.loads(blocked) == {"created": 1, "data": []}


def told(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in sse.EventReader().feed(data)]


def test_every_dialect_that_streams_is_tried_here() -> None:
    assert MEDIA.keys() - STREAMS.keys() == {
        "openai_image_edits",
        "openai_translations",
        "openai_moderations",
        "rerank",
    }
