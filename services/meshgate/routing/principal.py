"""Who calls, once authenticated."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from meshgate.routing.chain import Chain
from meshgate.runtime.errors import ModelNotAllowedError


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls and what they may use.

    Attributes:
        principal_id: Unique and stable.
        admin: Whether this is the admin of the gateway.
        allowed_models: Names, or patterns in which `*` stands for any run of characters.
        bound_to_networks: Whether the address that a call comes from matters.
        expires_at: Seconds since the epoch; None where the credential does not end.
        key_id: The key, if it is one.
        user_id: The user, if any.
        team_id: The team, if any.
        organization_id: The organization.
        tags: Fixed on the key, for reports.
        chains: The limits that apply to everything it does.
    """

    principal_id: str
    admin: bool
    allowed_models: frozenset[str]
    bound_to_networks: bool
    expires_at: float | None
    key_id: str = ""
    user_id: str = ""
    team_id: str = ""
    organization_id: str = "default"
    tags: Mapping[str, str] = field(default_factory=dict)
    chains: tuple[Chain, ...] = ()
    _patterns: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        patterns = sorted(name for name in self.allowed_models if "*" in name)
        object.__setattr__(self, "_patterns", _compiled(patterns) if patterns else None)

    def may_use(self, model: str) -> bool:
        if model in self.allowed_models:
            return True
        return self._patterns is not None and self._patterns.fullmatch(model) is not None

    def check(self, model: str) -> None:
        """Check that the principal may use the model.

        Raises:
            ModelNotAllowedError: It may not.
        """
        if not self.may_use(model):
            raise ModelNotAllowedError(f"this key may not use the model {model!r}", model=model)


def _compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(_expression(pattern) for pattern in patterns), re.DOTALL)


def _expression(pattern: str) -> str:
    """The regular expression for a pattern in which only `*` is special.

    The first place where a middle part fits is as good as any other, so that none is tried twice:
    no pattern takes long.
    """
    first, *middle, last = (re.escape(part) for part in pattern.split("*"))
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + ".*" + last
