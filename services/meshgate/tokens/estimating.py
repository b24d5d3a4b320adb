"""Estimates tokens in O(1) for what is held before a request is answered."""

import math
from collections import OrderedDict

# Before anything was learned. English prose has four to five bytes a token, code three to four;
# too few bytes a token hold too much, which is given back when the request is settled.
BYTES_PER_TOKEN = 3.0
OUTPUT_TOKENS = 256.0

# What is held of the output over the learned mean: most answers then need not ask for more.
OUTPUT_MARGIN = 1.5

# Bytes a token. What lies outside is not text: images and files by reference, or sent along.
LEAST_RATIO = 0.5
MOST_RATIO = 50.0
MOST_TOKENS = 10_000_000

# The newest observation weighs a half, a third, ... and then always this much.
_LEAST_WEIGHT = 1 / 32
# One huge body must not drown a hundred ordinary ones, nor teach everyone else's estimates.
_MOST_EVIDENCE_BYTES = 16_384
_FIRST_EVIDENCE_BYTES = 300.0


class _Learned:
    """What one model's answers have taught; sums and means fade exponentially."""

    __slots__ = ("body_bytes", "input_tokens", "input_weight", "output_tokens", "output_weight")

    def __init__(self) -> None:
        self.body_bytes = _FIRST_EVIDENCE_BYTES
        self.input_tokens = _FIRST_EVIDENCE_BYTES / BYTES_PER_TOKEN
        self.input_weight = 1.0
        self.output_tokens = OUTPUT_TOKENS
        self.output_weight = 1.0

    def learn_input(self, body_bytes: int, input_tokens: int) -> None:
        # Sums, not a mean of ratios: small bodies are mostly JSON around a few words, and must
        # not make large ones look cheap.
        weight = self.input_weight = _next_weight(self.input_weight)
        evidence = min(1.0, _MOST_EVIDENCE_BYTES / body_bytes)
        self.body_bytes += weight * (body_bytes * evidence - self.body_bytes)
        self.input_tokens += weight * (input_tokens * evidence - self.input_tokens)

    def learn_output(self, output_tokens: int) -> None:
        weight = self.output_weight = _next_weight(self.output_weight)
        self.output_tokens += weight * (output_tokens - self.output_tokens)


_NOTHING = _Learned()


class Estimator:
    """Estimates from byte lengths and from what earlier answers of a model have taught.

    A call takes about a microsecond. For one event loop: there are no locks.

    Args:
        most_models: How many models are remembered; the one not learned from for longest goes.
    """

    def __init__(self, most_models: int = 1024) -> None:
        self._most_models = most_models
        self._learned: OrderedDict[str, _Learned] = OrderedDict()

    def input_tokens(self, model: str, body_bytes: int) -> int:
        """About how many tokens a request's body (>= 0 bytes) holds: 1 to input_upper_bound."""
        learned = self._learned.get(model, _NOTHING)
        tokens = math.ceil(body_bytes * learned.input_tokens / learned.body_bytes)
        return max(1, min(tokens, body_bytes))

    def input_upper_bound(self, body_bytes: int) -> int:
        """How many tokens a body can hold at most: none is shorter than a byte.

        Knows nothing of what the upstream adds itself: images or files by reference, earlier
        turns that it has stored.
        """
        return max(1, body_bytes)

    def output_tokens(self, model: str, max_output_tokens: int | None) -> int:
        """How many tokens to hold for the answer (>= 1): the learned mean with a margin.

        Args:
            model: Whose answers to think of.
            max_output_tokens: What the caller will take at most (>= 1), for all choices together;
                None where the caller does not say.
        """
        learned = self._learned.get(model, _NOTHING)
        tokens = math.ceil(learned.output_tokens * OUTPUT_MARGIN)
        return tokens if max_output_tokens is None else max(1, min(tokens, max_output_tokens))

    def learn(self, model: str, body_bytes: int, input_tokens: int, output_tokens: int) -> None:
        """Learn from what an upstream reported; what cannot be is ignored, each side by itself."""
        believes_input = _is_sensible(input_tokens) and (
            LEAST_RATIO <= body_bytes / input_tokens <= MOST_RATIO
        )
        believes_output = _is_sensible(output_tokens)
        if not (believes_input or believes_output):
            return
        learned = self._of(model)
        if believes_input:
            learned.learn_input(body_bytes, input_tokens)
        if believes_output:
            learned.learn_output(output_tokens)

    def _of(self, model: str) -> _Learned:
        learned = self._learned.get(model)
        if learned is None:
            learned = self._learned[model] = _Learned()
            if len(self._learned) > self._most_models:
                self._learned.popitem(last=False)
        else:
            self._learned.move_to_end(model)
        return learned


def _is_sensible(tokens: int) -> bool:
    return 0 < tokens <= MOST_TOKENS


def _next_weight(weight: float) -> float:
    """1, 1/2, 1/3, ... down to the least."""
    return max(_LEAST_WEIGHT, weight / (1 + weight))
