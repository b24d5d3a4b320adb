"""The fake upstream itself: who asks for what, and who answers."""

from contextlib import suppress
from typing import Any, Self

import msgspec

from upstream import chat, control, forms, gemini, legacy, media, messages, refusals, responses
from upstream.behaviours import Behaviour, Endless, Lie, Match, Refuse, Script
from upstream.chat import CREATED, Chat
from upstream.embeddings import embeddings
from upstream.gate import Gate
from upstream.http1 import ClientGoneError, Connection, Incoming, Listener, MalformedError, head
from upstream.performance import BrokenOffError, Performance
from upstream.records import Records, Request
from upstream.scripts import Scripts
from upstream.sse import DONE

_FORMS: dict[str, Any] = {
    "/v1/chat/completions": chat,
    "/v1/completions": legacy,
    "/v1/responses": responses,
    messages.PATH: messages,
}
_ANTHROPIC = frozenset({messages.PATH, messages.COUNT_PATH})
MODELS = ("gpt-4o-mini", "gpt-4o", "text-embedding-3-small")


class FakeUpstream:
    """Speaks OpenAI's wire format on loopback, and Anthropic's.

    Args:
        port: 0 takes a free one.
        api_key: Other keys, and none, get a 401; None lets everybody in.
        models: What `GET /v1/models` lists. Requests may name any model.
    """

    def __init__(
        self, *, port: int = 0, api_key: str | None = None, models: tuple[str, ...] = MODELS
    ) -> None:
        self.records = Records()
        self.scripts = Scripts()
        self._wanted_port = port
        self._api_key = api_key
        self._models = models
        self._listener = Listener(self._serve)

    async def __aenter__(self) -> Self:
        await self._listener.start(self._wanted_port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.stop()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._listener.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def requests(self) -> list[Request]:
        """What came since the start or the last reset, in order."""
        return self.records.requests

    @property
    def open_connections(self) -> int:
        return self._listener.open_connections

    def script(
        self,
        match: Match | str,
        behaviour: Behaviour,
        *,
        times: int | None = None,
        gate: Gate | None = None,
    ) -> None:
        """Decides the answers to the requests that match; a str is a text in their prompt."""
        wanted = Match(text=match) if isinstance(match, str) else match
        self.scripts.add(Script(match=wanted, behaviour=behaviour, times=times), gate)

    def default(self, behaviour: Behaviour) -> None:
        """What requests get that no script is for."""
        self.scripts.default = behaviour

    def reset(self) -> None:
        """Forgets all requests and scripts; the default stays."""
        self.records.reset()
        self.scripts.reset()

    async def arrival(self, number: int = 0) -> Request:
        """Waits for the request of that number to have come, whole."""
        return await self.records.arrival(number)

    async def ending(self, number: int = 0) -> Request:
        """Waits for the request of that number to have been answered, or not."""
        return await self.records.ending(number)

    async def events(self, number: int, sent: int) -> Request:
        """Waits until that many events of the answer have been written."""
        return await self.records.events(number, sent)

    async def stall(self, number: int = 0) -> Request:
        """Waits until a write of the answer has to wait for the client to read."""
        return await self.records.stall(number)

    async def _serve(self, connection: Connection) -> None:
        try:
            while (incoming := await connection.read()) is not None:
                await self._answer(connection, incoming)
                if incoming.closes:
                    return
        except (ClientGoneError, BrokenOffError):
            return
        except MalformedError:
            with suppress(ClientGoneError):
                await connection.write(head(400, [("content-length", "0")]))

    async def _answer(self, connection: Connection, incoming: Incoming) -> None:
        if incoming.path.startswith("/_/"):
            await control.answer(self, connection, incoming)
            return
        record = self._record(connection, incoming)
        try:
            await self._perform(connection, record)
            record.outcome = "answered"
        except BrokenOffError:
            record.outcome = "broken_off"
            raise
        finally:
            if record.outcome == "open":
                record.outcome = "client_gone"
            self.records.changed()

    def _record(self, connection: Connection, incoming: Incoming) -> Request:
        record = Request(
            number=len(self.records.requests),
            connection=connection.number,
            method=incoming.method,
            path=incoming.path,
            headers=incoming.headers,
            # Files are large, and known by their digests.
            raw_body=b"" if forms.is_form(incoming.headers) else incoming.body,
            body=_body(incoming),
        )
        self.records.add(record)
        return record

    async def _perform(self, connection: Connection, record: Request) -> None:
        try:
            behaviour, gate = self.scripts.find(record)
            refuse = self._objection(record)
        except msgspec.DecodeError as error:
            behaviour, gate = Behaviour(), None
            refuse = Refuse(status=400, message=f"this directive is no script: {error}")
        form = _error_form(record)
        performance = Performance(connection, record, self.records, behaviour, gate, form)
        await performance.opening()
        if refuse is not None:
            await performance.refuse(refuse)
        elif gemini.is_gemini(record):
            await self._gemini(performance, record)
        elif record.path in _FORMS:
            await self._chat(performance, record, behaviour)
        elif record.path in media.NEEDS:
            await _media(performance, media.answer(record.path, record.body, behaviour))
        else:
            await performance.plain(self._other_body(record, behaviour))

    def _objection(self, record: Request) -> Refuse | None:
        """What the provider itself would refuse."""
        if gemini.is_gemini(record):
            return gemini.objection(record, self._api_key)
        if record.path in _ANTHROPIC:
            return messages.objection(record, self._api_key)
        return self._openai_objection(record)

    def _openai_objection(self, record: Request) -> Refuse | None:
        key = record.header("authorization")
        if self._api_key is not None and key != f"Bearer {self._api_key}":
            return refusals.WRONG_KEY if key else refusals.NO_KEY
        needs = {
            "/v1/chat/completions": "messages",
            "/v1/completions": "prompt",
            "/v1/embeddings": "input",
            "/v1/responses": "input",
            **media.NEEDS,
        }
        if record.method == "GET":
            return self._objection_to_reading(record.path)
        if record.path not in needs or record.method != "POST":
            return refusals.unknown_path(record.method, record.path)
        objection = _objection_to_body(record.body, needs[record.path])
        if objection is None and record.path == "/v1/responses":
            return responses.objection(record.body)
        return objection

    def _objection_to_reading(self, path: str) -> Refuse | None:
        if path == "/v1/models":
            return None
        prefix, _, model = path.rpartition("/models/")
        if prefix != "/v1":
            return refusals.unknown_path("GET", path)
        return None if model in self._models else refusals.unknown_model(model)

    async def _gemini(self, performance: Performance, record: Request) -> None:
        behaviour = performance.behaviour
        text = _text(record, behaviour)
        if gemini.is_streamed(record):
            await performance.streamed(gemini.payloads(record, behaviour, text))
        else:
            await performance.plain(gemini.plain(record, behaviour, text))

    async def _chat(self, performance: Performance, record: Request, behaviour: Behaviour) -> None:
        form = _FORMS[record.path]
        said = form.compose(record.body, behaviour, record.number, _text(record, behaviour))
        fault = behaviour.fault
        swapped = {"json_for_stream": False, "stream_for_plain": True}
        streamed = swapped.get(fault.kind) if isinstance(fault, Lie) else None
        if record.streamed if streamed is None else streamed:
            done = () if form is responses else (DONE,)
            await performance.streamed(_payloads(form, said, record, behaviour), done)
        else:
            await performance.plain(form.whole(said))

    def _other_body(self, record: Request, behaviour: Behaviour) -> bytes:
        if record.path == messages.COUNT_PATH:
            return messages.token_count(record.body)
        if record.path == "/v1/embeddings":
            return embeddings(record.body, behaviour)
        if record.path == "/v1/models":
            models = [_model(name) for name in self._models]
            return msgspec.json.encode({"object": "list", "data": models})
        return msgspec.json.encode(_model(record.path.rpartition("/")[2]))


async def _media(performance: Performance, answer: media.Answer) -> None:
    if answer.events:
        await performance.streamed(answer.events, done=())
    elif answer.sound:
        await performance.sound(answer.media_type, answer.sound)
    else:
        await performance.plain(answer.body, answer.media_type)


def _payloads(form: Any, chat: Chat, record: Request, behaviour: Behaviour) -> Any:
    if isinstance(behaviour.fault, Endless):
        return form.endless_payloads(chat)
    options = record.body.get("stream_options") or {}
    asked = "yes" if options.get("include_usage") is True else "no"
    return form.payloads(chat, behaviour.chunks, usage_asked=asked)


def _text(record: Request, behaviour: Behaviour) -> str:
    if behaviour.says == "echo":
        return msgspec.json.encode(
            {
                "method": record.method,
                "path": record.path,
                "headers": record.headers,
                "body": record.body,
            }
        ).decode()
    if behaviour.text_bytes is None:
        return behaviour.text
    return (behaviour.text * (behaviour.text_bytes // len(behaviour.text) + 1))[
        : behaviour.text_bytes
    ]


def _objection_to_body(body: Any, needed: str) -> Refuse | None:
    if not isinstance(body, dict):
        return refusals.MALFORMED_JSON
    if not isinstance(body.get("model"), str):
        return refusals.NO_MODEL
    return None if body.get(needed) else refusals.missing(needed)


def _body(incoming: Incoming) -> Any:
    if forms.is_form(incoming.headers):
        return forms.read(incoming.headers, incoming.body)
    try:
        return msgspec.json.decode(incoming.body)
    except msgspec.DecodeError:
        return None


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "fake"}


def _error_form(record: Request) -> refusals.ErrorForm:
    """How the provider that is spoken to tells of errors."""
    if gemini.is_gemini(record):
        return gemini.ERRORS
    return messages.ERRORS if record.path in _ANTHROPIC else refusals.OPENAI
