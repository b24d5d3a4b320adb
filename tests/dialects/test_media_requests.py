"""Requests for pictures, sounds, judgements and rankings: what is read, changed and looked at."""

import json
from typing import Any

import pytest

from meshgate.dialects import uploaded_form
from meshgate.dialects.inspection import inspection
from meshgate.dialects.media import MEDIA, UPLOADS
from meshgate.dialects.metering import meter
from meshgate.dialects.neutral import Usage
from meshgate.dialects.translation import translator
from meshgate.dialects.uploaded_form import Part
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

FILE = Part("file", None, "a.mp3", "audio/mpeg", 160_001)
GOOD: dict[str, bytes] = {
    "openai_images": b'{"prompt":"a fox","n":2,"model":"m","tomorrow":1.0}',
    "openai_image_edits": uploaded_form.write([FILE, Part("prompt", "a fox"), Part("model", "m")]),
    "openai_transcriptions": uploaded_form.write(
        [FILE, Part("prompt", "a fox"), Part("model", "m")]
    ),
    "openai_translations": uploaded_form.write([FILE, Part("prompt", "a fox"), Part("model", "m")]),
    "openai_speech": b'{"input":"a fox","voice":"alloy","model":"m","tomorrow":1.0}',
    "openai_moderations": b'{"input":["a fox"],"model":"m","tomorrow":1.0}',
    "rerank": b'{"query":"a fox","documents":["b","c"],"model":"m","tomorrow":1.0}',
}
JSON = sorted(MEDIA.keys() - UPLOADS)


def form(*parts: tuple[str, str]) -> bytes:
    return uploaded_form.write([FILE, *(Part(name, value) for name, value in parts)])


def test_every_dialect_is_tried_here() -> None:
    assert GOOD.keys() == MEDIA.keys()


@pytest.mark.parametrize("dialect", JSON)
def test_only_the_models_name_is_replaced_and_the_rest_keeps_its_bytes(dialect: str) -> None:
    request = translator(dialect, dialect).request(GOOD[dialect], "theirs", stream=False)

    assert request.head.model == "m"
    assert request.body == GOOD[dialect].replace(b'"m"', b'"theirs"')


@pytest.mark.parametrize(
    ("dialect", "name", "values"),
    [
        ("openai_image_edits", "n", ("10", "1")),
        ("openai_image_edits", "quality", ("high", "low")),
        ("openai_transcriptions", "stream", ("true", "false")),
    ],
)
def test_nothing_that_counts_is_said_twice_in_a_form(
    dialect: str, name: str, values: tuple[str, str]
) -> None:
    body = form(("model", "m"), *((name, value) for value in values))

    with pytest.raises(InvalidRequestError, match=f"Duplicate parameter: '{name}'"):
        translator(dialect, dialect).request(body, "theirs", stream=False)


@pytest.mark.parametrize("dialect", sorted(UPLOADS))
def test_no_other_name_of_a_model_is_left_in_a_form(dialect: str) -> None:
    body = form(("model", "a"), ("x", "1"), ("model", "b"))

    request = translator(dialect, dialect).request(body, "theirs", stream=False)

    assert request.head.model == "b"
    assert uploaded_form.read(request.body).parts == (
        Part("model", "theirs"),
        FILE,
        Part("x", "1"),
    )


@pytest.mark.parametrize("dialect", sorted(MEDIA))
def test_nobody_but_an_upstream_with_the_same_api_answers(dialect: str) -> None:
    with pytest.raises(UnsupportedError):
        translator(dialect, "openai_chat")
    with pytest.raises(UnsupportedError):
        translator("openai_chat", dialect)


@pytest.mark.parametrize("dialect", JSON)
def test_a_caller_who_names_no_model_is_told_so(dialect: str) -> None:
    body = json.loads(GOOD[dialect])
    del body["model"]
    head = MEDIA[dialect].read_head

    if dialect == "openai_moderations":
        assert head(json.dumps(body).encode()).model == "omni-moderation-latest"
        return
    with pytest.raises(InvalidRequestError) as caught:
        head(json.dumps(body).encode())
    assert caught.value.field == "model"


@pytest.mark.parametrize(
    ("dialect", "changes", "field"),
    [
        ("openai_images", {"prompt": ""}, "prompt"),
        ("openai_images", {"n": 0}, "n"),
        ("openai_images", {"n": 129}, "n"),
        ("openai_images", {"stream": "yes"}, "stream"),
        ("openai_speech", {"input": ""}, "input"),
        ("openai_speech", {"input": 7}, "input"),
        ("openai_moderations", {"input": {"a": 1}}, "input"),
        ("rerank", {"documents": []}, "documents"),
        ("rerank", {"documents": "a"}, "documents"),
    ],
)
def test_what_is_wrong_is_named(dialect: str, changes: dict[str, Any], field: str) -> None:
    body = json.dumps(json.loads(GOOD[dialect]) | changes).encode()

    with pytest.raises(InvalidRequestError) as caught:
        MEDIA[dialect].read_head(body)

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("dialect", "parts", "field"),
    [
        ("openai_transcriptions", (), "model"),
        ("openai_transcriptions", (("model", "m"), ("stream", "maybe")), "stream"),
        ("openai_image_edits", (("model", "m"), ("n", "0")), "n"),
        ("openai_image_edits", (("model", "m"), ("n", "²")), "n"),
        ("openai_image_edits", (("model", "m"), ("n", "9" * 5_000)), "n"),
        ("openai_image_edits", (("model", "m" * 513),), "model"),
    ],
)
def test_what_is_wrong_in_a_form_is_named(
    dialect: str, parts: tuple[tuple[str, str], ...], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        MEDIA[dialect].read_head(form(*parts))

    assert caught.value.field == field


def test_a_model_that_comes_as_a_file_is_none() -> None:
    body = uploaded_form.write([FILE, Part("model", "m"), Part("model", None, "x", "", 1)])

    with pytest.raises(InvalidRequestError):
        MEDIA["openai_transcriptions"].read_head(body)


class TestWhatIsAskedFor:
    def test_pictures_by_number_quality_and_size(self) -> None:
        body = b'{"model":"m","prompt":"x","n":3,"quality":"low","size":"1024x1536"}'

        head = MEDIA["openai_images"].read_head(body)

        assert head.service_tier == "low-1024x1536"
        assert head.asked == Usage(images=3, output_tokens=3 * 408, output_image_tokens=3 * 408)
        assert head.max_output_tokens == 0

    def test_pictures_of_unknown_quality_are_held_for_as_the_dearest(self) -> None:
        head = MEDIA["openai_images"].read_head(b'{"model":"m","prompt":"x","size":"auto"}')

        assert head.service_tier == "standard-1024x1024"
        assert head.asked is not None
        assert head.asked.output_tokens == 7024

    @pytest.mark.parametrize(
        ("quality", "size", "tokens"),
        [
            ("high", "1024x1024", 7024),
            ("high", "3584x2048", 12_329),
            ("high", "1536x1024", 6240),  # of gpt-image-1, which takes more for it
            ("medium", "1024x1024", 1756),
            ("low", "99999x10", 408),
            ("high", "00x00", 6240),
        ],
    )
    def test_pictures_are_held_for_by_whichever_model_takes_more(
        self, quality: str, size: str, tokens: int
    ) -> None:
        body = {"model": "m", "prompt": "x", "quality": quality, "size": size}

        asked = MEDIA["openai_images"].read_head(json.dumps(body).encode()).asked

        assert asked is not None
        assert asked.output_tokens == tokens

    @pytest.mark.parametrize(("fidelity", "tokens"), [("", 6563), ("high", 6563), ("low", 323)])
    def test_pictures_that_are_brought_are_held_for(self, fidelity: str, tokens: int) -> None:
        body = uploaded_form.write(
            [FILE, FILE, Part("model", "m"), Part("input_fidelity", fidelity)]
        )

        asked = MEDIA["openai_image_edits"].read_head(body).asked

        assert asked is not None
        assert (asked.input_tokens, asked.input_image_tokens) == (2 * tokens, 2 * tokens)

    def test_characters_are_counted_and_not_bytes(self) -> None:
        head = MEDIA["openai_speech"].read_head('{"model":"m","input":"größe"}'.encode())

        assert head.asked is not None
        assert head.asked.input_characters == 5
        assert head.stream

    def test_seconds_are_estimated_from_the_size(self) -> None:
        head = MEDIA["openai_transcriptions"].read_head(form(("model", "m")))

        assert head.asked is not None
        assert head.asked.input_audio_seconds == 11

    @pytest.mark.parametrize(("documents", "units"), [(1, 1), (100, 1), (101, 2)])
    def test_search_units_are_by_the_hundred(self, documents: int, units: int) -> None:
        body = json.dumps({"model": "m", "query": "q", "documents": ["d"] * documents}).encode()

        assert MEDIA["rerank"].read_head(body).asked == Usage(search_units=units)


class TestTexts:
    @pytest.mark.parametrize("dialect", sorted(MEDIA))
    def test_what_is_said_is_counted(self, dialect: str) -> None:
        assert "a fox" in meter(dialect).countable_text(GOOD[dialect]).texts

    @pytest.mark.parametrize("dialect", sorted(MEDIA))
    def test_counting_never_raises(self, dialect: str) -> None:
        assert meter(dialect).countable_text(b"\xff{").texts

    @pytest.mark.parametrize("dialect", sorted(MEDIA))
    def test_what_is_said_can_be_masked_and_nothing_else_is_touched(self, dialect: str) -> None:
        cut = inspection(dialect).cut_request(GOOD[dialect])
        [segment] = [segment for segment in cut.segments if segment.text == "a fox"]

        masked = cut.masked({segment.locator: "a ***"})

        assert masked == GOOD[dialect].replace(b"a fox", b"a ***")

    def test_the_apis_own_words_are_not_looked_at(self) -> None:
        body = b'{"model":"m","prompt":"x","quality":"high","response_format":"b64_json"}'

        assert [it.text for it in inspection("openai_images").cut_request(body).segments] == ["x"]

    def test_pictures_that_are_judged_count_flat(self) -> None:
        body = b'{"input":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}'

        assert meter("openai_moderations").countable_text(body).other_tokens == 765
        assert inspection("openai_moderations").cut_request(body).segments == []
