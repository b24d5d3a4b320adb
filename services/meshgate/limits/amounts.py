"""Quantities of everything that limits count."""

from msgspec import Struct

from meshgate.limits.limit import LimitKind


class Amounts(Struct, frozen=True):
    """So many requests, tokens, nano-dollars, and requests at the same time; none below 0."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0
    concurrency: int = 0

    def of(self, kind: LimitKind) -> int:
        """How much of it a limit of this kind counts."""
        match kind:
            case LimitKind.REQUESTS:
                return self.requests
            case LimitKind.TOKENS:
                return self.input_tokens + self.output_tokens
            case LimitKind.INPUT_TOKENS:
                return self.input_tokens
            case LimitKind.OUTPUT_TOKENS:
                return self.output_tokens
            case LimitKind.COST:
                return self.cost_nanos
            case LimitKind.CONCURRENCY:
                return self.concurrency

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost_nanos + other.cost_nanos,
            self.concurrency + other.concurrency,
        )

    def minus(self, other: "Amounts") -> "Amounts":
        """What is left when the other is taken away: 0 where the other is more."""
        return Amounts(
            max(0, self.requests - other.requests),
            max(0, self.input_tokens - other.input_tokens),
            max(0, self.output_tokens - other.output_tokens),
            max(0, self.cost_nanos - other.cost_nanos),
            max(0, self.concurrency - other.concurrency),
        )

    def at_most(self, other: "Amounts") -> "Amounts":
        """Of each the lesser."""
        return Amounts(
            min(self.requests, other.requests),
            min(self.input_tokens, other.input_tokens),
            min(self.output_tokens, other.output_tokens),
            min(self.cost_nanos, other.cost_nanos),
            min(self.concurrency, other.concurrency),
        )

    def times(self, count: int) -> "Amounts":
        """So many of them together."""
        return Amounts(
            self.requests * count,
            self.input_tokens * count,
            self.output_tokens * count,
            self.cost_nanos * count,
            self.concurrency * count,
        )

    def covers(self, other: "Amounts") -> bool:
        """Whether the other fits in."""
        return (
            self.requests >= other.requests
            and self.input_tokens >= other.input_tokens
            and self.output_tokens >= other.output_tokens
            and self.cost_nanos >= other.cost_nanos
            and self.concurrency >= other.concurrency
        )


NOTHING = Amounts()
ONE_PLACE = Amounts(concurrency=1)


class Pool(Struct):
    """Amounts that change: what is in it may be taken out, and more put in. Made for hot paths."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0
    concurrency: int = 0

    @classmethod
    def of(cls, amounts: Amounts) -> "Pool":
        """One that holds the amounts."""
        pool = cls()
        pool.put(amounts)
        return pool

    def take(self, amounts: Amounts) -> bool:
        """Take the amounts out, if all of them are in it."""
        if (
            self.requests < amounts.requests
            or self.input_tokens < amounts.input_tokens
            or self.output_tokens < amounts.output_tokens
            or self.cost_nanos < amounts.cost_nanos
            or self.concurrency < amounts.concurrency
        ):
            return False
        self.requests -= amounts.requests
        self.input_tokens -= amounts.input_tokens
        self.output_tokens -= amounts.output_tokens
        self.cost_nanos -= amounts.cost_nanos
        self.concurrency -= amounts.concurrency
        return True

    def put(self, amounts: Amounts) -> None:
        """Put the amounts in."""
        self.requests += amounts.requests
        self.input_tokens += amounts.input_tokens
        self.output_tokens += amounts.output_tokens
        self.cost_nanos += amounts.cost_nanos
        self.concurrency += amounts.concurrency

    @property
    def amounts(self) -> Amounts:
        """What is in it."""
        return Amounts(
            self.requests,
            self.input_tokens,
            self.output_tokens,
            self.cost_nanos,
            self.concurrency,
        )
