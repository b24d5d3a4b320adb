"""A request's way, from the call to the answer."""

from collections.abc import Callable
from dataclasses import dataclass

from meshgate.config.snapshot import Snapshot
from meshgate.dialects.answers import RequestHead
from meshgate.routing.arrival import Arrival
from meshgate.routing.attempts import Answered, Attempts
from meshgate.routing.peers.auth import PrincipalCache
from meshgate.routing.peers.provider import (
    Chunks,
    Headers,
    PlainAnswer,
    Providers,
    StreamedAnswer,
)
from meshgate.routing.planning import Planner, served
from meshgate.routing.principal import Principal
from meshgate.routing.question import Question
from meshgate.v1 import provider_service_pb2 as pb

ReadHead = Callable[[bytes], RequestHead]
"""Reads what routing needs of a body. Raises InvalidRequestError."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to the client.

    Attributes:
        headers: What is told beside the answer.
        body: The whole answer, or
        chunks: the pieces of a streamed one, each whole events; to be closed.
    """

    headers: Headers
    body: bytes = b""
    chunks: Chunks | None = None


class Pipeline:
    """Answers questions. Knows no dialect and no transport.

    Args:
        principals: Who calls.
        providers: Who answers.
        snapshot: The configuration, as it is now.
        attempts: How answers are tried for.
    """

    def __init__(
        self,
        principals: PrincipalCache,
        providers: Providers,
        snapshot: Callable[[], Snapshot],
        attempts: Attempts | None = None,
    ) -> None:
        self._principals = principals
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
        planner = Planner(snapshot)
        _check(principal, head.model, snapshot)
        question = Question(arrival, principal, head, dialect, body, snapshot.revision)
        plans = planner.plans(head.model)
        if head.stream:
            streamed = await self._attempts.first_good(question, plans, self._providers.stream)
            return Reply(_headers(streamed), chunks=streamed.answer.chunks)
        plain = await self._attempts.first_good(question, plans, self._providers.execute)
        return Reply(_headers(plain), body=plain.answer.body)

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
        _check(principal, name, self._snapshot())
        return name


def _check(principal: Principal, model: str, snapshot: Snapshot) -> None:
    """Whether there is such a model, and for this principal."""
    served(snapshot, model)
    principal.check(model)


def _headers(answered: Answered[PlainAnswer] | Answered[StreamedAnswer]) -> Headers:
    return (
        *answered.answer.headers,
        ("x-meshgate-model", answered.model),
        ("x-meshgate-provider", answered.target.provider),
        ("x-meshgate-attempts", str(answered.attempts)),
    )
