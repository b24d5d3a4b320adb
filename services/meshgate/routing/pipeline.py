"""A request's way, from the call to the answer."""

from collections.abc import Callable, Iterable
from urllib.parse import quote

from msgspec import Struct

from meshgate.config.snapshot import Model, Snapshot
from meshgate.dialects.answers import RequestHead
from meshgate.routing.arrival import Arrival
from meshgate.routing.attempts import Answered, Attempts
from meshgate.routing.limit_headers import limit_headers, refusal_headers
from meshgate.routing.meter import Meter
from meshgate.routing.metered_stream import MeteredStream
from meshgate.routing.metering import Metering
from meshgate.routing.peers.auth import PrincipalCache
from meshgate.routing.peers.provider import Headers, PlainAnswer, Providers, StreamedAnswer
from meshgate.routing.planning import Plan, Planner, served
from meshgate.routing.principal import Principal
from meshgate.routing.question import Question
from meshgate.runtime.errors import LimitExceededError
from meshgate.v1 import provider_service_pb2 as pb

ReadHead = Callable[[bytes], RequestHead]
"""Reads what routing needs of a body. Raises InvalidRequestError."""


class Reply(Struct, frozen=True):
    """What goes back to the client.

    Attributes:
        headers: What is told beside the answer.
        body: The whole answer, or
        chunks: the pieces of a streamed one, each whole events; to be closed.
    """

    headers: Headers
    body: bytes = b""
    chunks: MeteredStream | None = None


class Pipeline:
    """Answers questions. Knows no dialect and no transport.

    Args:
        principals: Who calls.
        metering: What they may use.
        providers: Who answers.
        snapshot: The configuration, as it is now.
        attempts: How answers are tried for.
    """

    def __init__(
        self,
        principals: PrincipalCache,
        metering: Metering,
        providers: Providers,
        snapshot: Callable[[], Snapshot],
        attempts: Attempts | None = None,
    ) -> None:
        self._principals = principals
        self._metering = metering
        self._providers = providers
        self._snapshot = snapshot
        self._attempts = attempts or Attempts()

    async def answer(
        self, arrival: Arrival, dialect: pb.Dialect.ValueType, body: bytes, read_head: ReadHead
    ) -> Reply:
        """The whole way of one request.

        Raises:
            GatewayError: It got no answer.
        """
        principal = await self._principals.authenticate(arrival)  # before the body is read
        head = read_head(body)
        snapshot = self._snapshot()
        model = _allowed(principal, head.model, snapshot)
        arrival = arrival.within(model.timeouts.total_seconds)  # all attempts together
        question = Question(arrival, principal, head, dialect, body, snapshot.revision)
        plans = Planner(snapshot).plans(head.model)
        try:
            return await self._metered(question, plans)
        except LimitExceededError as error:
            error.headers = refusal_headers(error)
            raise

    async def _metered(self, question: Question, plans: Iterable[Plan]) -> Reply:
        meter = await self._metering.open(question)
        try:
            if question.head.stream:
                return await self._streamed(meter, plans)
            return await self._plain(meter, plans)
        except BaseException:
            meter.left()
            raise

    async def _plain(self, meter: Meter, plans: Iterable[Plan]) -> Reply:
        execute = meter.metered(self._providers.execute)
        answered = await self._attempts.first_good(meter.question, plans, execute)
        answer = answered.answer
        meter.answered(answer.usage, answer.served_model, answer.body)
        return Reply(_headers(answered, meter), body=answer.body)

    async def _streamed(self, meter: Meter, plans: Iterable[Plan]) -> Reply:
        execute = meter.metered(self._providers.stream)
        answered = await self._attempts.first_good(meter.question, plans, execute)
        chunks = MeteredStream(answered.answer.chunks, meter)
        return Reply(_headers(answered, meter), chunks=chunks)

    async def authenticate(self, arrival: Arrival) -> None:
        """Look who calls, before anything is read of what he says.

        Raises:
            GatewayError: The caller is not known.
        """
        await self._principals.authenticate(arrival)

    async def models(self, arrival: Arrival) -> list[str]:
        """The models that the caller may use, in the order of the configuration.

        Raises:
            GatewayError: The caller is not known.
        """
        principal = await self._principals.authenticate(arrival)
        return [name for name in self._snapshot().models if principal.may_use(name)]

    async def model(self, arrival: Arrival, name: str) -> str:
        """A model that the caller may use.

        Raises:
            GatewayError: The caller is not known, or may not, or there is none.
        """
        principal = await self._principals.authenticate(arrival)
        return _allowed(principal, name, self._snapshot()).name


def _allowed(principal: Principal, name: str, snapshot: Snapshot) -> Model:
    """The model, if there is one, and for this principal."""
    model = served(snapshot, name)
    principal.check(name)
    return model


def _headers(answered: Answered[PlainAnswer] | Answered[StreamedAnswer], meter: Meter) -> Headers:
    return (
        *answered.answer.headers,
        *limit_headers(meter.parts),
        ("x-meshgate-model", _header_value(answered.model)),
        ("x-meshgate-provider", answered.target.provider),
        ("x-meshgate-attempts", str(answered.attempts)),
    )


def _header_value(name: str) -> str:
    """A name as a header can carry it: percent-encoded where it is not ASCII."""
    return name if name.isascii() else quote(name)
