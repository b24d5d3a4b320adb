"""A conversation while it is held: one client, turn after turn, on one stream."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any, TypeAlias

import structlog
from msgspec import Struct

from meshgate.dialects.neutral import ChatEvent, ChatRequest, Message, ToolResult
from meshgate.routing.answer_draft import AnswerDraft
from meshgate.routing.conversation import Conversation
from meshgate.runtime.cancellation import being_cancelled
from meshgate.runtime.errors import CredentialError, GatewayError
from meshgate.runtime.telemetry import described

_log = structlog.get_logger("meshgate.routing")


class Said(Struct, frozen=True):
    """The user says something."""

    message: Message


class Reported(Struct, frozen=True):
    """What the tools gave back that were called."""

    results: tuple[ToolResult, ...]


class Cancel(Struct, frozen=True):
    """The answer in progress is to stop."""


class Finish(Struct, frozen=True):
    """The client will say no more."""


class Unreadable(Struct, frozen=True):
    """A message that breaks a rule, and begins no turn."""

    error: GatewayError


Heard: TypeAlias = Said | Reported | Cancel | Finish | Unreadable
"""What comes from the client."""


class Step(Struct, frozen=True):
    """A step of an answer: what the client is told, and what stays of it in the conversation."""

    told: Any
    said: ChatEvent | None = None


class Cancelled(Struct, frozen=True):
    """The turn ended because the client wanted it to."""

    answer_kept: bool


class Draining(Struct, frozen=True):
    """This process ends, and with it the conversation."""


class Idle(Struct, frozen=True):
    """Nobody has said anything for long."""


class Told(Struct, frozen=True):
    """What goes to the client: a step, Cancelled, Draining, Idle, or the GatewayError of a turn.

    `turn` is 0 for what belongs to none.
    """

    turn: int
    what: Any


Answer = Callable[[ChatRequest, int], AsyncGenerator[Step, None]]
"""Answers a question, in the turn of that number. Raises GatewayError. To be closed."""


class Dialogue:
    """Holds one conversation.

    No more than one message is kept for a client who does not read: everything waits for him, and
    upstreams too.

    Args:
        conversation: What was said before.
        answer: Answers each turn.
        leaving: Set when the process is to end: the turn in progress is the last one.
        idle_seconds: How long nothing may be said, and nothing answered.
    """

    def __init__(
        self,
        conversation: Conversation,
        answer: Answer,
        leaving: asyncio.Event,
        idle_seconds: float,
    ) -> None:
        self._conversation = conversation
        self._answer = answer
        self._leaving = leaving
        self._idle_seconds = idle_seconds
        self._outlet: asyncio.Queue[Told | Exception | None] = asyncio.Queue(maxsize=1)
        self._draft = AnswerDraft(0)
        self._answering: asyncio.Task[None] | None = None

    async def told(self, heard: AsyncIterator[Heard]) -> AsyncGenerator[Told, None]:
        """What the client is told, until the conversation ends. Closing it cancels all work.

        Raises:
            CredentialError: The client's credential is no longer good.
        """
        holding = asyncio.create_task(self._hold(heard))
        try:
            while (told := await self._outlet.get()) is not None:
                if isinstance(told, Exception):
                    raise told
                yield told
        finally:
            await stop((holding,))

    async def _hold(self, heard: AsyncIterator[Heard]) -> None:
        try:
            await self._converse(heard)
        except Exception as error:  # raised where it is heard
            await self._outlet.put(error)
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            await self._outlet.put(None)  # it was the call that was cancelled
        else:
            await self._outlet.put(None)

    async def _converse(self, heard: AsyncIterator[Heard]) -> None:
        listening = _listen(heard)
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            while True:
                is_idle = not await self._something_happens(listening, leaving)
                if self._answering is not None and self._answering.done():
                    await self._conclude()
                if self._answering is None and leaving.done():
                    return await self._tell(0, Draining())
                if listening.done():
                    message = listening.result()
                    if isinstance(message, Finish):
                        return await self._end_turn()
                    await self._take(message)
                    listening = _listen(heard)
                elif is_idle:
                    return await self._tell(0, Idle())
        finally:
            await stop((listening, leaving, self._answering))

    async def _something_happens(
        self, listening: asyncio.Task[Heard], leaving: asyncio.Task[Any]
    ) -> bool:
        """Wait for a message, the end of the answer or of the process; whether any of it came."""
        awaited: set[asyncio.Task[Any]] = {listening}
        if not leaving.done():
            awaited.add(leaving)
        if self._answering is not None:
            awaited.add(self._answering)
        timeout_seconds = self._idle_seconds if self._answering is None else None
        if leaving.done() and self._answering is None:
            return True
        done, _ = await asyncio.wait(
            awaited, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        return bool(done)

    # ------------------------------------------------------------- turns

    async def _take(self, message: Heard) -> None:
        try:
            match message:
                case Said():
                    await self._end_told_turn()
                    self._conversation.say(message.message)
                    self._begin()
                case Reported():
                    await self._end_told_turn()
                    self._conversation.report(message.results)
                    self._begin()
                case Unreadable():
                    raise message.error
                case Cancel():
                    await self._cancel()
        except GatewayError as error:
            await self._tell(0, error)

    def _begin(self) -> None:
        self._draft = AnswerDraft(self._conversation.room_bytes)
        self._answering = asyncio.create_task(self._answer_turn(self._draft))

    async def _answer_turn(self, draft: AnswerDraft) -> None:
        turn = self._conversation.turn
        async with aclosing(self._answer(self._conversation.question(), turn)) as steps:
            async for step in steps:
                await self._tell(turn, step.told)
                if step.said is not None:
                    draft.take(step.said)

    async def _cancel(self) -> None:
        """Stop the answer, unless it has just come to its end by itself."""
        if self._answering is None:
            return
        self._answering.cancel()
        await asyncio.wait((self._answering,))
        if self._draft.is_finished or not self._answering.cancelled():
            await self._conclude()
            return
        self._answering = None
        spoken = self._draft.spoken()
        self._conversation.answer(spoken)
        await self._tell(self._conversation.turn, Cancelled(spoken is not None))

    async def _conclude(self) -> None:
        """Take note of how a turn has ended.

        Raises:
            CredentialError: The client may no longer ask anything.
        """
        answering, self._answering = self._answering, None
        error = _error_of(answering)
        if self._draft.is_finished:
            self._conversation.answer(self._draft.whole())
            return
        self._conversation.take_back()
        if isinstance(error, CredentialError):
            raise error
        await self._tell(self._conversation.turn, error)

    async def _end_told_turn(self) -> None:
        """Wait for the end of an answer whose last step the client has seen already."""
        if self._draft.is_finished:
            await self._end_turn()

    async def _end_turn(self) -> None:
        if self._answering is not None:
            await asyncio.wait((self._answering,))
            await self._conclude()

    async def _tell(self, turn: int, what: Any) -> None:
        await self._outlet.put(Told(turn, what))


def _listen(heard: AsyncIterator[Heard]) -> asyncio.Task[Heard]:
    async def listen() -> Heard:
        return await anext(heard, Finish())

    return asyncio.create_task(listen())


def _error_of(answering: asyncio.Task[None] | None) -> GatewayError:
    """What a turn has failed with, if it has."""
    error: BaseException | None = None
    if answering is not None and not answering.cancelled():
        error = answering.exception()
    if isinstance(error, GatewayError):
        return error
    if error is not None:
        _log.error("unexpected exception", method="GatewayService.Converse", **described(error))
    return GatewayError("internal error")


async def stop(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel tasks, and wait for their end."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    for task in running:
        _ = task.cancelled() or task.exception()  # nobody else will ask for it
