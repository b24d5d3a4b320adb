"""Who calls, once authenticated."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

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
    """

    principal_id: str
    admin: bool
    allowed_models: frozenset[str]
    bound_to_networks: bool
    expires_at: float | None

    def may_use(self, model: str) -> bool:
        allowed = self.allowed_models
        return (
            "*" in allowed
            or model in allowed
            or any("*" in pattern and fnmatchcase(model, pattern) for pattern in allowed)
        )

    def check(self, model: str) -> None:
        """Check that the principal may use the model.

        Raises:
            ModelNotAllowedError: It may not.
        """
        if not self.may_use(model):
            raise ModelNotAllowedError(f"this key may not use the model {model!r}", model=model)
