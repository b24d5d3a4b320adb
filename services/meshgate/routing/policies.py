"""Which guardrails apply to the requests for a model, and what to do where they cannot be asked."""

from collections.abc import Iterable

from msgspec import Struct

from meshgate.config.snapshot import GuardrailPolicy, Model, Snapshot


class Policies(Struct, frozen=True):
    """The policies of one phase.

    Attributes:
        names: In order; none where nothing is looked at.
        fails_open: Whether all of them let pass what cannot be looked at.
    """

    names: tuple[str, ...]
    fails_open: bool


class ModelPolicies(Struct, frozen=True):
    """What is looked at: of requests for a model, and of their answers, whoever gives them."""

    input: Policies
    output: Policies


def policies_of(model: Model, snapshot: Snapshot) -> ModelPolicies:
    """The policies of the model that was asked for."""
    policies = [snapshot.guardrails[name] for name in model.guardrails]
    return ModelPolicies(
        input=_policies(policy for policy in policies if policy.input),
        output=_policies(policy for policy in policies if policy.output),
    )


def are_needed(snapshot: Snapshot) -> bool:
    """Whether there are requests that cannot be answered without guardrails."""
    return any(
        snapshot.guardrails[name].on_error == "closed"
        for model in snapshot.models.values()
        for name in model.guardrails
    )


def _policies(policies: Iterable[GuardrailPolicy]) -> Policies:
    found = tuple(policies)
    return Policies(
        names=tuple(policy.name for policy in found),
        fails_open=all(policy.on_error == "open" for policy in found),
    )
