"""What the tests of metering are made of."""

from typing import Any

from routing.fakes import arrival

from meshgate.config.snapshot import Model, Target
from meshgate.dialects.answers import RequestHead
from meshgate.limits.limit import Enforcement, Limit, LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.pricing.prices import Prices
from meshgate.routing.chain import Chain
from meshgate.routing.principal import Principal
from meshgate.routing.question import Question
from meshgate.v1 import provider_service_pb2

CHAT = provider_service_pb2.DIALECT_OPENAI_CHAT
TYPED = provider_service_pb2.DIALECT_MESHGATE_CHAT
COMPLETIONS = provider_service_pb2.DIALECT_OPENAI_COMPLETIONS
EMBEDDINGS = provider_service_pb2.DIALECT_OPENAI_EMBEDDINGS

PRICES = Prices(1_000_000_000, 500_000_000, 1_000_000_000, 2_000_000_000)
"""1 and 2 USD a million: 1,000 and 2,000 nano-dollars a token."""


def limit(kind: str, amount: int, enforcement: str = "normal") -> Limit:
    unit = None if kind == "concurrency" else WindowUnit.MINUTE
    return Limit.of(LimitKind(kind), amount, unit, enforcement=Enforcement(enforcement))


def chain(*limits: Limit, key: str = "k1", partition: str = "acme") -> Chain:
    return Chain(partition, [Subject(SubjectKind.KEY, key, limits)])


def asked(
    body: bytes = b"{}", *chains: Chain, model: str = "m", dialect: Any = CHAT, **head: Any
) -> Question:
    """A question for a model, by a principal under these limits."""
    who = Principal("alice", False, frozenset({"*"}), False, None, chains=chains)
    return Question(arrival(), who, RequestHead(model, **head), dialect, body, "r1")


def at(provider: str, prices: Prices | None = PRICES, *limits: Limit) -> Target:
    return Target(provider, f"m-at-{provider}", prices=prices, limits=limits)


def model(name: str, *targets: Target, **fields: Any) -> Model:
    return Model(name, **({"targets": targets, "strategy": "priority"} | fields))
