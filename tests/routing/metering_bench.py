"""Metering by itself: attempts that come to what a test says, under limits that quota keeps."""

from typing import Any

from routing.fake_quota import FakeQuota
from routing.fakes import Clock, snapshot, until
from routing.metering_values import asked, at, chain, limit, model

from meshgate.config.snapshot import Target
from meshgate.routing.meter import Meter
from meshgate.routing.metering import Metering
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.quota import Quota
from meshgate.routing.planning import Plan
from meshgate.routing.question import Question
from meshgate.tokens.counting import TokenCounter

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hello world"}]}'
TOKENS = chain(limit("tokens", 100_000), limit("requests", 100))


class MeterBench:
    """Metering against quota as a plain model."""

    def __init__(self) -> None:
        self.service = FakeQuota()
        self.clock = Clock()
        self.quota = Quota(QuotaCalls(self.service.channel()), now=self.clock)
        self.counter = TokenCounter()
        self.configured = snapshot(model("m", at("one")))

    async def open(self, *chains: Any, **head: Any) -> Meter:
        return await self.open_for(asked(BODY, *(chains or (TOKENS,)), **head))

    async def open_for(self, question: Question) -> Meter:
        metering = Metering(self.quota, self.counter, lambda: self.configured)
        return await metering.open(question)

    async def attempt(self, meter: Meter, result: Any, target: Target | None = None) -> Any:
        """One attempt that comes to a result, or raises it."""

        async def execute(*_: Any) -> Any:
            if isinstance(result, BaseException):
                raise result
            return result

        asked_for = self.configured.models["m"]
        plan = Plan(asked_for, asked_for.targets)
        run = meter.metered(execute)
        return await run(meter.question, plan, target or asked_for.targets[0])

    async def settled(self) -> None:
        """Let all be booked, and what lies in leases go back."""
        await until(lambda: not self.quota._tasks)
        self.quota.send_settlements()
        await until(lambda: not self.quota.unbooked)
        self.clock.time += 2.1
        await self.quota.look()

    def used(self, limit: str = "tokens/minute", subject: str = "key/k1") -> tuple[int, int]:
        """Spent, and held."""
        return self.service.spent[subject, limit], self.service.held(subject, limit)


def limits_of(kind: str, amount: int) -> tuple[Any, ...]:
    return with_prices(limit(kind, amount))


def with_prices(*limits: Any) -> tuple[Any, ...]:
    return (at("one").prices, *limits)
