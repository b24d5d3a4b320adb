"""How a conversation is held: what waits for what, and what ends it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
import structlog

from meshgate.dialects.neutral import (
    ChatRequest,
    Finished,
    FinishReason,
    Message,
    Role,
    Text,
    TextDelta,
)
from meshgate.routing.conversation import Conversation
from meshgate.routing.dialogue import (
    Cancel,
    Cancelled,
    Dialogue,
    Draining,
    Finish,
    Heard,
    Idle,
    Said,
    Step,
)
from meshgate.runtime.errors import CredentialInvalidError, FailedPreconditionError, GatewayError

BOUND_SECONDS = 20
FINISHED = Step("finished", Finished(reason=FinishReason.STOP))
HELLO = Said(Message(role=Role.USER, parts=(Text("hi"),)))


def word(number: int) -> Step:
    return Step(f"word {number}", TextDelta(f"word {number}"))


class Scene:
    """A dialogue whose client and upstream do what the test says.

    Attributes:
        made: How many steps the upstream has made.
        closed: Set when an answer is closed, however it ended.
    """

    def __init__(self, *answers: Callable[[], AsyncGenerator[Step, None]]) -> None:
        self.made = 0
        self.closed = asyncio.Event()
        self.leaving = asyncio.Event()
        self.conversation = Conversation(ChatRequest(model="m", messages=()))
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()
        self._answers = list(answers)

    def dialogue(self, idle_seconds: float = BOUND_SECONDS) -> AsyncGenerator[Any, None]:
        held = Dialogue(self.conversation, self._answer, self.leaving, idle_seconds)
        return held.told(self._listen())

    async def _listen(self) -> AsyncIterator[Heard]:
        while True:
            yield await self.heard.get()

    async def _answer(self, _question: ChatRequest, _turn: int) -> AsyncGenerator[Step, None]:
        try:
            async with aclosing(self._answers.pop(0)()) as steps:
                async for step in steps:
                    self.made += 1
                    yield step
        finally:
            self.closed.set()


async def endless() -> AsyncGenerator[Step, None]:
    number = 0
    while True:
        number += 1
        yield word(number)


async def short() -> AsyncGenerator[Step, None]:
    yield word(1)
    yield FINISHED


def failing(error: BaseException) -> Callable[[], AsyncGenerator[Step, None]]:
    async def answer() -> AsyncGenerator[Step, None]:
        yield word(1)
        raise error

    return answer


async def hung() -> AsyncGenerator[Step, None]:
    yield word(1)
    await asyncio.get_running_loop().create_future()


@pytest.fixture(autouse=True)
async def bound() -> AsyncIterator[None]:
    async with asyncio.timeout(BOUND_SECONDS):
        yield


async def whole(dialogue: AsyncGenerator[Any, None]) -> list[Any]:
    return [each.what async for each in dialogue]


async def quiet() -> None:
    """Let everything go on that can."""
    for _ in range(200):
        await asyncio.sleep(0)


async def test_nobody_runs_ahead_of_a_client_who_does_not_read() -> None:
    scene = Scene(endless)
    async with aclosing(scene.dialogue()) as told:
        scene.heard.put_nowait(HELLO)
        await anext(told)
        await quiet()

        before = scene.made
        await quiet()

        assert before == scene.made <= 3  # one read, one kept, one in the upstream's hand


async def test_a_client_who_does_not_read_can_cancel() -> None:
    scene = Scene(endless)
    async with aclosing(scene.dialogue()) as told:
        scene.heard.put_nowait(HELLO)
        await anext(told)
        await quiet()

        scene.heard.put_nowait(Cancel())
        await scene.closed.wait()

        rest = [await anext(told), await anext(told)]
        assert [each.what for each in rest] == ["word 2", Cancelled(answer_kept=True)]
    spoken = scene.conversation.question().messages[-1]
    assert spoken.parts == (Text("word 1word 2"),)


async def test_what_follows_the_last_step_at_once_begins_the_next_turn() -> None:
    go_on = asyncio.Event()

    async def late() -> AsyncGenerator[Step, None]:
        yield FINISHED
        await go_on.wait()

    scene = Scene(late, short)
    async with aclosing(scene.dialogue()) as told:
        scene.heard.put_nowait(HELLO)
        await anext(told)
        scene.heard.put_nowait(HELLO)
        await quiet()

        go_on.set()

        assert [(await anext(told)).turn, (await anext(told)).turn] == [2, 2]


async def test_an_answer_that_has_just_ended_is_not_cancelled() -> None:
    async def late() -> AsyncGenerator[Step, None]:
        yield word(1)
        yield FINISHED
        await asyncio.get_running_loop().create_future()

    scene = Scene(late)
    async with aclosing(scene.dialogue()) as told:
        scene.heard.put_nowait(HELLO)
        await anext(told)
        await anext(told)
        scene.heard.put_nowait(Cancel())
        scene.heard.put_nowait(Finish())

        assert await whole(told) == []
    assert scene.conversation.question().messages[-1].parts == (Text("word 1"),)


async def test_a_credential_that_is_no_longer_good_ends_the_conversation() -> None:
    scene = Scene(failing(CredentialInvalidError("no longer")))
    async with aclosing(scene.dialogue()) as told:
        scene.heard.put_nowait(HELLO)

        with pytest.raises(CredentialInvalidError):
            await whole(told)


async def test_what_nobody_expected_is_logged_and_told_without_its_words() -> None:
    scene = Scene(failing(ValueError("the secret")), short)
    with structlog.testing.capture_logs() as logs:
        async with aclosing(scene.dialogue()) as told:
            scene.heard.put_nowait(HELLO)
            await anext(told)
            failed = await anext(told)

            scene.heard.put_nowait(HELLO)
            assert (await anext(told)).what == "word 1"

    assert isinstance(failed.what, GatewayError)
    assert failed.what.message == "internal error"
    assert [entry["event"] for entry in logs] == ["unexpected exception"]


async def test_an_answer_that_was_cut_off_by_nobody_here_is_an_error() -> None:
    scene = Scene(failing(asyncio.CancelledError()))
    async with aclosing(scene.dialogue()) as told:
        scene.heard.put_nowait(HELLO)
        await anext(told)

        assert isinstance((await anext(told)).what, GatewayError)


async def test_leaving_closes_the_answer() -> None:
    scene = Scene(hung)
    async with aclosing(scene.dialogue()) as told:
        scene.heard.put_nowait(HELLO)
        await anext(told)

    assert scene.closed.is_set()


async def test_it_does_not_rest_while_an_answer_is_awaited() -> None:
    async def slow() -> AsyncGenerator[Step, None]:
        for _ in range(20):  # turns of the loop, in the first of which a rest would be over
            await asyncio.sleep(0)
        yield FINISHED

    scene = Scene(slow)
    async with aclosing(scene.dialogue(idle_seconds=0)) as told:
        scene.heard.put_nowait(HELLO)

        assert await whole(told) == ["finished", Idle()]


async def test_in_a_drain_an_answer_can_still_be_cancelled_but_nothing_new_begins() -> None:
    scene = Scene(hung)
    async with aclosing(scene.dialogue()) as told:
        scene.heard.put_nowait(HELLO)
        await anext(told)
        scene.leaving.set()
        scene.heard.put_nowait(HELLO)
        refused = await anext(told)
        scene.heard.put_nowait(Cancel())

        assert isinstance(refused.what, FailedPreconditionError)
        assert await whole(told) == [Cancelled(answer_kept=True), Draining()]


async def test_a_conversation_that_begins_in_a_drain_is_closed_at_once() -> None:
    scene = Scene()
    scene.leaving.set()

    async with aclosing(scene.dialogue()) as told:
        assert await whole(told) == [Draining()]
