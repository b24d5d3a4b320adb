"""What a request may use, as far as that can be known before it runs."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from meshgate.config.snapshot import Model, Snapshot
from meshgate.dialects.answers import RequestHead
from meshgate.limits.amounts import Amounts
from meshgate.pricing.prices import Prices, cost_nanos
from meshgate.routing.chain import Chain
from meshgate.tokens.estimating import Estimator

STRICT_OUTPUT_TOKENS = 4096
"""What each choice of an answer may take under a strict limit if its caller sets no bound."""


class Demand(Struct, frozen=True):
    """What is set aside for a request.

    Attributes:
        amounts: Requests, tokens, money and a place.
        output_cap: What the upstream is told to write at most, each choice; None where the caller
            sets a bound or none is needed.
    """

    amounts: Amounts
    output_cap: int | None = None


class Demands:
    """Estimates demands.

    Args:
        estimator: Knows how long requests and answers are.
        snapshot: The configuration, as it is now.
    """

    def __init__(self, estimator: Estimator, snapshot: Callable[[], Snapshot]) -> None:
        self._estimator = estimator
        self._snapshot = snapshot
        self._revision = ""
        self._dearest: dict[str, Prices | None] = {}

    def of(self, head: RequestHead, body_bytes: int, chains: Sequence[Chain]) -> Demand:
        """What a request may use: an estimate, or the most it can, where a limit is strict.

        Strict limits need both an upper bound of what is read and one of what is written. Other
        estimates are never larger than what the limits allow for one request: what is too long is
        found out while it is written.
        """
        strict = any(chain.is_strict for chain in chains)
        asked = head.max_output_tokens
        most = None if asked is None else asked * head.choices
        if strict:
            input_tokens = self._estimator.input_upper_bound(body_bytes)
            output_tokens = STRICT_OUTPUT_TOKENS * head.choices if most is None else most
        else:
            input_tokens = self._estimator.input_tokens(head.model, body_bytes)
            output_tokens = self._output_tokens(head, most, input_tokens, chains)
        cost = 0
        if any(chain.counts_cost for chain in chains):
            cost = self._cost_nanos(head.model, input_tokens, output_tokens)
        cap = STRICT_OUTPUT_TOKENS if strict and asked is None else None
        return Demand(Amounts(1, input_tokens, output_tokens, cost, 1), cap)

    def more_output(self, model: str, output_tokens: int) -> Amounts:
        """So many tokens more, to be written by whoever is dearest."""
        cost = self._cost_nanos(model, 0, output_tokens)
        return Amounts(output_tokens=output_tokens, cost_nanos=cost)

    def _output_tokens(
        self, head: RequestHead, most: int | None, input_tokens: int, chains: Sequence[Chain]
    ) -> int:
        if most == 0:
            return 0
        tokens = self._estimator.output_tokens(head.model, most)
        for chain in chains:
            tokens = min(tokens, chain.most_output(input_tokens))
        return max(1, tokens)

    def _cost_nanos(self, model: str, input_tokens: int, output_tokens: int) -> int:
        """At the dearest target; 0 if none has a price."""
        prices = self._dearest_of(model, self._snapshot())
        return 0 if prices is None else cost_nanos(prices, input_tokens, 0, 0, output_tokens)

    def _dearest_of(self, name: str, snapshot: Snapshot) -> Prices | None:
        if snapshot.revision != self._revision:
            self._dearest, self._revision = {}, snapshot.revision
        if name not in self._dearest:
            self._dearest[name] = _dearest(_with_fallbacks(name, snapshot))
        return self._dearest[name]


def _dearest(models: Sequence[Model]) -> Prices | None:
    """The highest of each price of all targets; what is read may also go to a cache."""
    prices = [target.prices for model in models for target in model.targets if target.prices]
    if not prices:
        return None
    read = max(
        max(each.input_nanos, each.cached_input_nanos, each.cache_creation_nanos) for each in prices
    )
    return Prices(read, read, read, max(each.output_nanos for each in prices))


def _with_fallbacks(name: str, snapshot: Snapshot) -> Sequence[Model]:
    """The model and all that may answer in its place."""
    found: dict[str, Model] = {}
    todo = [name]
    while todo:
        model = snapshot.models.get(todo.pop())
        if model is not None and model.name not in found:
            found[model.name] = model
            todo += model.fallbacks
    return tuple(found.values())
