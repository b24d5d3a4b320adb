"""Counting is exact where it can be, linear in any text, and never in the event loop's way."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.tokens import encoding
from meshgate.tokens.counting import (
    LARGEST_PIECE,
    MOST_COUNTED,
    TokenCounter,
    chat_overhead_tokens,
    tokens_in,
)
from meshgate.tokens.encoding import EncodingName

CL100K_MODEL = "gpt-4"
O200K_MODEL = "gpt-4o"
PROSE = "Nobody had told the lighthouse keeper, who was asleep, that the ship had come in. "

nasty = st.text(st.sampled_from(" \n\r\ta1'S^/<|>é\u0301文😀\ud800\x1c\u00a0"), max_size=400)
several = st.lists(st.text() | nasty, max_size=5)


class WordPieces:
    """An encoder to whom four characters are a token; remembers what it was given."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def encode_ordinary(self, text: str, /) -> list[int]:
        self.pieces.append(text)
        return [0] * -(-len(text) // 4)


class HeldEncoder:
    """An encoder that lets nothing through until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def encode_ordinary(self, text: str, /) -> list[int]:
        self.released.wait()
        return [0] * len(text)


@pytest.fixture
async def counter() -> AsyncIterator[TokenCounter]:
    counter = TokenCounter()
    yield counter
    await counter.close()


@pytest.fixture
async def held() -> AsyncIterator[HeldEncoder]:
    encoder = HeldEncoder()
    yield encoder
    encoder.released.set()


# ------------------------------------------------------------------ what is counted


@pytest.mark.parametrize("model", [CL100K_MODEL, O200K_MODEL])
async def test_hello_world_is_two_tokens(counter: TokenCounter, model: str):
    assert await counter.count(["hello world"], model) == 2


async def test_the_encoding_is_that_of_the_model(counter: TokenCounter):
    texts = ["antidisestablishmentarianism", "日本語の文章を数える"]
    of_cl100k = [len(encoding.load(EncodingName.CL100K).encode_ordinary(text)) for text in texts]
    of_o200k = [len(encoding.load(EncodingName.O200K).encode_ordinary(text)) for text in texts]

    assert of_cl100k[0] == 6
    assert of_cl100k != of_o200k
    assert await counter.count(texts, CL100K_MODEL) == sum(of_cl100k)
    assert await counter.count(texts, O200K_MODEL) == sum(of_o200k)


async def test_texts_are_counted_each_by_itself(counter: TokenCounter):
    assert await counter.count(["hello", " world", "hello world"], O200K_MODEL) == 4


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
async def test_nothing_has_no_tokens(counter: TokenCounter, texts: Sequence[str]):
    assert await counter.count(texts, O200K_MODEL) == 0


@pytest.mark.parametrize("model", [CL100K_MODEL, O200K_MODEL])
async def test_special_tokens_in_a_text_count_as_text(counter: TokenCounter, model: str):
    assert await counter.count(["<|endoftext|>"], model) == 7
    assert await counter.count(["<|endofprompt|>"], model) > 1


async def test_a_lone_surrogate_counts_as_a_replacement_character(counter: TokenCounter):
    assert await counter.count(["\ud800"], O200K_MODEL) == await counter.count(["�"], O200K_MODEL)


async def test_a_chat_has_the_tokens_that_openai_reports_for_it(counter: TokenCounter):
    # The example of OpenAI's API reference: "prompt_tokens": 19.
    texts = ["developer", "You are a helpful assistant.", "user", "Hello!"]

    assert await counter.count(texts, O200K_MODEL) + chat_overhead_tokens(messages=2) == 19


# ------------------------------------------------------------------ whatever a text holds


@given(several, st.sampled_from(EncodingName))
def test_no_text_fails_and_none_has_more_tokens_than_bytes(texts: list[str], name: EncodingName):
    tokens = tokens_in(texts, encoding.load(name))

    assert tokens <= sum(len(text.encode(errors="replace")) * 3 for text in texts)
    if not any("\ud800" <= character <= "\udfff" for text in texts for character in text):
        assert tokens <= sum(len(text.encode()) for text in texts)
        assert bool(tokens) == any(texts)


@given(nasty, nasty, st.sampled_from(EncodingName))
def test_a_text_cut_before_a_space_has_the_tokens_of_the_whole(
    before: str, after: str, name: EncodingName
):
    encoder = encoding.load(name)
    left, right = before + "x", " " + after

    whole = len(encoder.encode_ordinary(left + right))

    assert whole == len(encoder.encode_ordinary(left)) + len(encoder.encode_ordinary(right))


@pytest.mark.parametrize("name", EncodingName)
def test_a_long_text_is_counted_exactly(name: EncodingName):
    text = "".join(f"{PROSE}{number:,} -- it's\n\n    {{x}}\t" for number in range(1_000))
    encoder = encoding.load(name)

    assert len(text) > 20 * LARGEST_PIECE
    assert tokens_in([text], encoder) == len(encoder.encode_ordinary(text))


@pytest.mark.parametrize("name", EncodingName)
@pytest.mark.parametrize("unit", ["a", "ab", "A", " ", "\n", "^", "文", "1", " \n", "e\u0301"])
def test_a_long_run_is_off_by_two_tokens_a_piece_at_most(name: EncodingName, unit: str):
    run = unit * (4 * LARGEST_PIECE // len(unit))
    encoder = encoding.load(name)

    assert tokens_in([run], encoder) == pytest.approx(len(encoder.encode_ordinary(run)), abs=8)


# ------------------------------------------------------------------ what it costs


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        " " * 1_000_000,
        PROSE * 10_000,
        "\n " * 500_000,
        "x " + "a" * 1_000_000,
        ("a" * LARGEST_PIECE + " ") * 200,
    ],
    ids=["letters", "spaces", "prose", "blank lines", "word and letters", "long words"],
)
def test_no_piece_is_longer_than_allowed_and_all_are_the_whole_text(text: str):
    encoder = WordPieces()

    tokens_in([text], encoder)

    assert max(map(len, encoder.pieces)) <= LARGEST_PIECE
    assert "".join(encoder.pieces) == text


@given(st.text(st.sampled_from(" \na"), max_size=200), st.integers(1, 300))
def test_pieces_are_no_more_than_twice_as_many_as_must_be(unit: str, times: int):
    text = unit * times
    encoder = WordPieces()

    tokens_in([text], encoder)

    assert len(encoder.pieces) <= 2 * len(text) / LARGEST_PIECE + 2


def test_of_a_huge_text_no_more_is_counted_than_is_allowed():
    encoder = WordPieces()

    tokens = tokens_in(["a" * (5 * MOST_COUNTED)], encoder)

    assert sum(map(len, encoder.pieces)) <= MOST_COUNTED
    assert tokens == 5 * MOST_COUNTED / 4


def test_of_a_huge_number_of_texts_no_more_are_counted_than_is_allowed():
    encoder = WordPieces()
    texts = ["four"] * (MOST_COUNTED // 8)

    tokens = tokens_in(texts, encoder)

    assert len(encoder.pieces) <= MOST_COUNTED / 32
    assert tokens == len(texts)


def test_what_stands_for_a_huge_text_comes_from_all_over_it():
    text = PROSE * (MOST_COUNTED // len(PROSE)) + "文" * MOST_COUNTED
    encoder = encoding.load(EncodingName.O200K)
    apart = tokens_in([text[:MOST_COUNTED]], encoder) + tokens_in([text[MOST_COUNTED:]], encoder)

    assert tokens_in([text], encoder) == pytest.approx(apart, rel=0.01)


# ------------------------------------------------------------------ off the event loop


async def test_the_event_loop_runs_while_texts_are_counted(held: HeldEncoder):
    counter = TokenCounter(lambda _: held)

    counted = asyncio.ensure_future(counter.count(["abc"], O200K_MODEL))
    await asyncio.sleep(0)
    assert not counted.done()
    held.released.set()

    assert await counted == 3
    await counter.close()


async def test_an_encoding_is_loaded_in_the_threads():
    loaders = []

    def load(_: EncodingName) -> WordPieces:
        loaders.append(threading.current_thread())
        return WordPieces()

    counter = TokenCounter(load)
    await counter.count(["abc"], O200K_MODEL)

    assert loaders != [threading.current_thread()]
    await counter.close()


async def test_where_too_much_is_waiting_a_text_is_estimated_at_once(held: HeldEncoder):
    counter = TokenCounter(lambda _: held, threads=1, most_waiting=1_000)
    counted = asyncio.ensure_future(counter.count(["a" * 900], O200K_MODEL))
    await asyncio.sleep(0)

    ascii_tokens = await counter.count(["a" * 900], O200K_MODEL)
    mixed_tokens = await counter.count(["aé" * 450], O200K_MODEL)

    assert (ascii_tokens, mixed_tokens) == (300, 450)
    held.released.set()
    assert await counted == 900
    await counter.close()


async def test_a_caller_who_leaves_makes_room_for_others(held: HeldEncoder):
    counter = TokenCounter(lambda _: held, threads=1, most_waiting=1_000)
    first = asyncio.ensure_future(counter.count(["a" * 300], O200K_MODEL))
    leaving = asyncio.ensure_future(counter.count(["a" * 600], O200K_MODEL))
    await asyncio.sleep(0)

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    staying = asyncio.ensure_future(counter.count(["a" * 600], O200K_MODEL))
    await asyncio.sleep(0)
    held.released.set()

    assert await asyncio.gather(first, staying) == [300, 600]
    await counter.close()


async def test_what_is_alone_is_counted_however_long_it_is():
    counter = TokenCounter(lambda _: WordPieces())

    assert await counter.count(["a" * (3 * MOST_COUNTED)], O200K_MODEL) == 3 * MOST_COUNTED / 4
    await counter.close()


async def test_closing_waits_for_what_was_begun(held: HeldEncoder):
    counter = TokenCounter(lambda _: held)
    counted = asyncio.ensure_future(counter.count(["abc"], O200K_MODEL))
    await asyncio.sleep(0)

    closing = asyncio.ensure_future(counter.close())
    held.released.set()
    await closing

    assert await counted == 3
