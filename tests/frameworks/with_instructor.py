"""Instructor, in its own modes around the SDKs of three vendors."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import anthropic
import instructor
import openai
from google import genai
from instructor import AsyncInstructor, Mode
from wishes import Place, Town, Weather, says


@cache
def made(origin: str, key: str, sdk: str, mode: str, model: str) -> "Instructor":
    """Instructor at a gateway.

    Args:
        sdk: `openai`, `anthropic` or `gemini`.
        mode: As Instructor names it: how it asks for a form.
        model: As the gateway names it.
    """
    client = _CLIENTS[sdk](origin, key, Mode[mode])
    return Instructor(client, model, {"max_tokens": 500} if sdk == "anthropic" else {})


class Instructor:
    """Every answer of it has the form of a class; told of is the city in it."""

    def __init__(self, client: AsyncInstructor, model: str, more: dict[str, Any]) -> None:
        self._client = client
        self._asking = {"model": model, "max_retries": 1, **more}

    async def place(self, words: str) -> Any:
        return (await self._client.create(Place, says(words), **self._asking)).city

    async def place_in_pieces(self, words: str) -> Any:
        """What is known of it after each piece of a stream."""
        pieces = self._client.create_partial(Place, says(words), **self._asking)
        return [piece.city async for piece in pieces]

    async def places(self, words: str) -> Any:
        """A list that is streamed."""
        places = self._client.create_iterable(says(words), Place, **self._asking)
        return [place.city async for place in places]

    async def town(self, words: str) -> Any:
        """Asked for once more where it is not valid."""
        twice = self._asking | {"max_retries": 2}
        return (await self._client.create(Town, says(words), **twice)).city

    async def calls(self, words: str) -> Any:
        """Tools that are called in parallel, each with its city."""
        tools = Iterable[Weather | Place]
        calls = await self._client.create(tools, says(words), **self._asking)
        return [[type(call).__name__, call.city] for call in calls]


def _of_openai(origin: str, key: str, mode: Mode) -> AsyncInstructor:
    client = openai.AsyncOpenAI(base_url=f"{origin}/v1", api_key=key, max_retries=0)
    return instructor.from_openai(client, mode=mode)


def _of_anthropic(origin: str, key: str, mode: Mode) -> AsyncInstructor:
    client = anthropic.AsyncAnthropic(base_url=origin, api_key=key, max_retries=0)
    return instructor.from_anthropic(client, mode=mode)


def _of_gemini(origin: str, key: str, mode: Mode) -> AsyncInstructor:
    client = genai.Client(api_key=key, http_options={"base_url": origin})
    return instructor.from_genai(client, mode=mode, use_async=True)


_CLIENTS: dict[str, Callable[[str, str, Mode], AsyncInstructor]] = {
    "openai": _of_openai,
    "anthropic": _of_anthropic,
    "gemini": _of_gemini,
}
