"""What the tests of the caller's side of quota are made of."""

from typing import Any

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.limit import Subject
from meshgate.limits.messages import amounts_message, limit_message
from meshgate.routing.peers.quota.grant import Grant
from meshgate.runtime.duration import duration
from meshgate.runtime.errors import GatewayError, ServiceUnavailableError
from meshgate.v1 import quota_service_pb2 as pb

ONE = Amounts(requests=1, input_tokens=10, output_tokens=20)
AWAY = ServiceUnavailableError("gone")


def grant(
    amounts: Amounts = NOTHING,
    *states: tuple[Any, int],
    grant_id: str = "g1",
    lease: float = 2.0,
    asked_at: float = 1000.0,
    subjects: tuple[Subject, ...] = (),
) -> Grant:
    """A grant; `states` are limits and what is left of them."""
    message = pb.Grant(
        amounts=amounts_message(amounts),
        lease=duration(lease),
        states=[
            pb.LimitState(limit=limit_message(limit), remaining=left, reset=duration(60))
            for limit, left in states
        ],
    )
    return Grant(grant_id, "acme", subjects, message, asked_at)


class ScriptedCalls:
    """In the place of QuotaCalls: takes note of everything, fails when told to."""

    def __init__(self) -> None:
        self.settled: list[list[Any]] = []
        self.released: list[Any] = []
        self.extended: list[Any] = []
        self.failures: list[BaseException] = []
        self.failure: GatewayError | None = None
        self.refusals: dict[str, GatewayError] = {}

    async def settle(self, grants: Any) -> list[Any]:
        self.settled.append(list(grants))
        if self.failures:
            raise self.failures.pop(0)
        if self.failure is not None:
            raise self.failure
        return [pb.SettleResult(booking=pb.BOOKING_BOOKED) for _ in grants]

    def release(self, item: Any) -> None:
        self.released.append(item)

    async def send_releases(self) -> None:
        pass

    async def extend(self, item: Any) -> Any:
        self.extended.append(item)
        if self.failure is not None:
            raise self.failure
        if item.grant_id in self.refusals:
            raise self.refusals[item.grant_id]
        return pb.Grant()
