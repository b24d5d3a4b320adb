"""Plays a behaviour on a connection: the head, the body or the events, and the faults."""

import asyncio
import re
from collections.abc import Iterable, Iterator

from upstream.behaviours import (
    Behaviour,
    Close,
    Cut,
    ErrorEvent,
    Hang,
    Lie,
    Refuse,
    SlowHead,
)
from upstream.gate import Gate
from upstream.http1 import Connection, Headers, chunk, head
from upstream.records import Records, Request
from upstream.refusals import HTML, OPENAI, ErrorForm, error_json, refusal
from upstream.sse import DONE, EventWriter

JSON_TYPE = ("content-type", "application/json")
SSE_TYPE = ("content-type", "text/event-stream; charset=utf-8")


class BrokenOffError(Exception):
    """A fault has ended the answer, and with it the connection."""


class Performance:
    """One answer on its way.

    Args:
        connection: Where to.
        record: What it answers; counts what is sent.
        records: Told of every change of the record.
        behaviour: How.
        gate: Holds back the steps, if there is one.
        form: How errors look, how a stream ends, and by which headers an answer is named.
    """

    def __init__(
        self,
        connection: Connection,
        record: Request,
        records: Records,
        behaviour: Behaviour,
        gate: Gate | None,
        form: ErrorForm = OPENAI,
    ) -> None:
        self._connection = connection
        self._record = record
        self._records = records
        self.behaviour = behaviour
        self._gate = gate
        self._form = form
        self._step = 0
        connection.on_stall = self._stalled

    async def opening(self) -> None:
        """What comes before anything is said; plays the faults that need no answer."""
        await self._turn(self.behaviour.head_delay_seconds)
        match self.behaviour.fault:
            case Close(by=by):
                self._break_off(by)
            case Hang(at="head"):
                await self._connection.hang()

    async def refuse(self, refuse: Refuse) -> None:
        """An error answer."""
        headers, body = refusal(refuse, self._form)
        await self._whole(refuse.status, headers, body)

    async def plain(self, body: bytes, media_type: str = JSON_TYPE[1]) -> None:
        """A plain answer."""
        match self.behaviour.fault:
            case Refuse() as fault:
                await self.refuse(fault)
            case Hang():
                await self._head(200, [JSON_TYPE, _length(body)])
                await self._connection.hang()
            case Cut(by=by):
                half = body[: len(body) // 2]
                await self._head(200, [JSON_TYPE, _length(half if by == "end" else body)])
                await self._body(half)
                self._break_off("reset" if by == "reset" else "eof")
            case Lie(kind=kind):
                await self._lie(kind, body)
            case _:
                await self._whole(200, [("content-type", media_type)], body)

    async def sound(self, media_type: str, pieces: Iterable[bytes]) -> None:
        """A stream of bytes; each piece is one step, and counts as an event."""
        if isinstance(self.behaviour.fault, Refuse):
            await self.refuse(self.behaviour.fault)
            return
        await self._head(200, [("content-type", media_type), ("transfer-encoding", "chunked")])
        for number, piece in enumerate(pieces):
            if self._breaks_after(number):
                await self._break_sound()
            await self._turn(self.behaviour.event_delay_seconds)
            await self._body(chunk(piece))
            self._record.events_sent += 1
            self._records.changed()
        await self._connection.write(chunk(b""))

    async def _break_sound(self) -> None:
        fault = self.behaviour.fault
        if isinstance(fault, Cut) and fault.by != "end":
            self._break_off(fault.by)
        if isinstance(fault, Hang):
            await self._connection.hang()
        await self._connection.write(chunk(b""))
        raise BrokenOffError

    async def streamed(self, payloads: Iterable[bytes], done: tuple[bytes, ...] = (DONE,)) -> None:
        """A stream of events, `[DONE]` added where the API has such an end."""
        match self.behaviour.fault:
            case Refuse() as fault:
                await self.refuse(fault)
            case Lie(kind="error_json" | "html" | "empty" as kind):
                await self._lie(kind, b"")
            case _:
                await self._head(200, [SSE_TYPE, ("transfer-encoding", "chunked")])
                await self._events(payloads, done)

    async def _lie(self, kind: str, body: bytes) -> None:
        match kind:
            case "html":
                await self._whole(200, [("content-type", "text/html")], HTML)
            case "content_length_too_long" | "content_length_too_short":
                surplus = 100 if kind == "content_length_too_long" else -10
                length = ("content-length", str(len(body) + surplus))
                await self._head(200, [JSON_TYPE, length])
                await self._body(body)
                self._break_off("eof")
            case _:
                await self._whole(200, [JSON_TYPE], spoiled(kind, body))

    async def _events(self, payloads: Iterable[bytes], done: tuple[bytes, ...]) -> None:
        if self._fault_is(Hang, "body"):
            await self._connection.hang()
        writer = EventWriter(self.behaviour.framing)
        number = 0
        for number, payload in enumerate(self._with_done(payloads, done)):
            if self._breaks_after(number):
                await self._break_stream(writer)
            await self._turn(self.behaviour.event_delay_seconds)
            await self._event(writer, self._spoiled(number, payload))
        if self._breaks_after(number + 1):
            await self._break_stream(writer)
        await self._pieces(writer.rest())
        await self._connection.write(chunk(b""))

    def _with_done(self, payloads: Iterable[bytes], done: tuple[bytes, ...]) -> Iterator[bytes]:
        yield from payloads
        if self._form.ends_with_done and self.behaviour.framing.done == "sent":
            yield from done

    def _spoiled(self, number: int, payload: bytes) -> bytes:
        fault = self.behaviour.fault
        return spoiled(fault.kind, payload) if isinstance(fault, Lie) and number == 1 else payload

    def _fault_is(self, kind: type[Hang], at: str) -> bool:
        fault = self.behaviour.fault
        return isinstance(fault, kind) and fault.at == at

    def _breaks_after(self, events: int) -> bool:
        fault = self.behaviour.fault
        breaks = isinstance(fault, Cut | ErrorEvent) or self._fault_is(Hang, "event")
        return breaks and fault.after_events == events  # type: ignore[union-attr]

    async def _break_stream(self, writer: EventWriter) -> None:
        """Plays the fault that ends a stream early, after what was held back is out."""
        await self._pieces(writer.rest())
        match self.behaviour.fault:
            case Hang():
                await self._connection.hang()
            case ErrorEvent() as fault:
                error = self._form.event(fault.message, fault.error_type, fault.code)
                await self._event(writer, error)
                await self._pieces(writer.rest())
                await self._connection.write(chunk(b""))
            case Cut(by="end"):
                await self._connection.write(chunk(b""))
            case Cut(by=by):
                self._break_off("reset" if by == "reset" else "eof")
        raise BrokenOffError

    async def _event(self, writer: EventWriter, data: bytes) -> None:
        await self._pieces(writer.pieces(data))
        self._record.events_sent += 1
        self._records.changed()

    async def _pieces(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            await self._body(chunk(piece))

    async def _whole(self, status: int, headers: Headers, body: bytes) -> None:
        await self._head(status, [*headers, _length(body)])
        await self._body(body)

    async def _head(self, status: int, headers: Headers) -> None:
        data = head(status, self._headers(headers))
        fault = self.behaviour.fault
        if not isinstance(fault, SlowHead):
            await self._connection.write(data)
            return
        for byte in data:
            await self._connection.write(bytes([byte]))
            await self._connection.unless_gone(asyncio.sleep(fault.interval_seconds))

    def _headers(self, headers: Headers) -> Headers:
        own = self.behaviour.headers
        named = (self._form.id_header, f"req_fake{self._record.number:024d}")
        usual = [named, *self._form.headers, *headers]
        return [h for h in usual if h[0] not in {name.lower() for name in own}] + list(own.items())

    async def _body(self, data: bytes) -> None:
        await self._connection.write(data)
        self._record.bytes_sent += len(data)

    def _stalled(self) -> None:
        self._record.stalls += 1
        self._records.changed()

    async def _turn(self, delay_seconds: float) -> None:
        """Waits for the gate and the clock before a step."""
        step, self._step = self._step, self._step + 1
        if self._gate is not None:
            await self._connection.unless_gone(self._gate.passing(step))
        if delay_seconds:
            await self._connection.unless_gone(asyncio.sleep(delay_seconds))

    def _break_off(self, by: str) -> None:
        self._connection.close("reset" if by == "reset" else "eof")
        raise BrokenOffError


def spoiled(kind: str, body: bytes) -> bytes:
    """The body of a lie, made from the one that would be true."""
    match kind:
        case "error_json":
            return error_json("the fake upstream says 200 and fails", "server_error")
        case "empty":
            return b""
        case "truncated_json":
            return body[: len(body) // 2]
        case "invalid_json":
            return body.replace(b":", b"=", 1)
        case "invalid_utf8":
            name = b"content" if b'"content":' in body else b"model"
            return re.sub(b'("%b": *")' % name, b"\\1\xff\xfe\xc3(", body, count=1)
        case _:
            return body


def _length(body: bytes) -> tuple[str, str]:
    return ("content-length", str(len(body)))
