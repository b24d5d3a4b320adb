"""Counts tokens, off the event loop and at a cost that is linear in the text, whatever it holds."""

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from meshgate.tokens import encoding
from meshgate.tokens.encoding import EncodingName
from meshgate.tokens.estimating import BYTES_PER_TOKEN

# What OpenAI publishes for its chat models since gpt-3.5-turbo-0613: each message is framed by
# three tokens beside those of its role and text, and the answer is begun with three more.
TOKENS_PER_MESSAGE = 3
TOKENS_BEFORE_ANSWER = 3

# In characters. tiktoken takes 20 to 200 ns for each in pieces of this size, and 500 for a lone
# surrogate, which it replaces first; in larger pieces one run of letters costs more than its share.
LARGEST_PIECE = 4096
MOST_COUNTED = 4 * 1024 * 1024
MOST_WAITING = 4 * MOST_COUNTED

# A piece costs as much as so many characters before the first of them is looked at.
_PIECE_OVERHEAD = 32
_MOST_LOOKS_FOR_A_SPACE = 8
_SAMPLE = 1024


class Encoder(Protocol):
    """The part of tiktoken that counting needs."""

    def encode_ordinary(self, text: str, /) -> list[int]:
        """The tokens of a text, in which special tokens are text like any other.

        May be called by several threads.
        """
        ...


def chat_overhead_tokens(messages: int) -> int:
    """The input tokens of a chat of so many messages (>= 0), beside those of roles and texts."""
    return messages * TOKENS_PER_MESSAGE + TOKENS_BEFORE_ANSWER


class TokenCounter:
    """Counts tokens in threads of its own; tiktoken lets the event loop run meanwhile.

    Args:
        load: Gives an encoder; may block, and is called in the threads.
        threads: How many texts are counted at a time.
        most_waiting: How many characters may wait or be counted, all callers together.
    """

    def __init__(
        self,
        load: Callable[[EncodingName], Encoder] = encoding.load,
        threads: int = 2,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._load = load
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="tokens")
        self._most_waiting = most_waiting
        self._waiting = 0

    async def count(self, texts: Sequence[str], model: str) -> int:
        """The tokens of some texts, each by itself, in the encoding of an upstream's model.

        Exact (for OpenAI's models) as long as the texts have at most MOST_COUNTED characters and
        a space in every LARGEST_PIECE of them; each piece without a space may be off by a token
        or two. Of longer texts pieces spread evenly over them are counted, and stand for the
        rest. When too much is waiting already, the answer comes at once, and is an estimate from
        the length alone. Never fails for what a text holds; special tokens count as text.
        """
        work = min(_work(texts), MOST_COUNTED)
        if self._waiting + work > self._most_waiting:
            return _estimated(texts)
        self._waiting += work
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._count, tuple(texts), encoding.of_model(model)
            )
        finally:
            self._waiting -= work

    async def close(self) -> None:
        """Let what was begun end; nothing may be counted afterwards."""
        await asyncio.to_thread(self._threads.shutdown)

    def _count(self, texts: Sequence[str], name: EncodingName) -> int:
        return tokens_in(texts, self._load(name))


def tokens_in(texts: Sequence[str], encoder: Encoder) -> int:
    """The tokens of some texts, as TokenCounter.count describes; blocks for up to two seconds."""
    stride = math.ceil(_work(texts) / MOST_COUNTED)
    tokens = counted = 0
    for piece in itertools.islice(_pieces(texts), 0, None, stride or 1):
        tokens += len(encoder.encode_ordinary(piece))
        counted += len(piece)
    total = sum(map(len, texts))
    return tokens if counted == total else math.ceil(tokens * total / counted)


def _work(texts: Sequence[str]) -> int:
    return sum(map(len, texts)) + _PIECE_OVERHEAD * len(texts)


def _pieces(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        start = 0
        while start < len(text):
            end = _end_of_piece(text, start)
            yield text[start:end]
            start = end


def _end_of_piece(text: str, start: int) -> int:
    """Where to cut so that, if possible, the pieces have the tokens of the whole.

    In both encodings a space after anything but white space always begins a new token.
    """
    end = start + LARGEST_PIECE
    if end >= len(text):
        return len(text)
    space = end + 1
    for _ in range(_MOST_LOOKS_FOR_A_SPACE):
        space = text.rfind(" ", start + 1, space)
        if space < 0:
            break
        if not text[space - 1].isspace():
            return space
    return end


def _estimated(texts: Sequence[str]) -> int:
    return math.ceil(sum(map(_bytes_in, texts)) / BYTES_PER_TOKEN)


def _bytes_in(text: str) -> int:
    """About how long a text is in UTF-8, from its beginning: encoding all of it would block."""
    if text.isascii():
        return len(text)
    sample = text[:_SAMPLE]
    return math.ceil(len(sample.encode(errors="surrogatepass")) * len(text) / len(sample))
