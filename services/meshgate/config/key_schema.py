"""What may be written under `keys:` and `auth:`."""

from pydantic import Field

from meshgate.config.fields import (
    CidrNetwork,
    Label,
    ModelPattern,
    Moment,
    Name,
    PositiveDuration,
    Secret,
    Section,
    lasting,
)
from meshgate.config.limit_schema import LimitsSection, no_limits


class KeySection(Section):
    """A key that clients may use. Its id is `config/<name>`."""

    name: Name = Field(description="What the key is called in reports.")
    key: Secret = Field(description="The key itself: what clients send.")
    models: tuple[ModelPattern, ...] = Field(
        ("*",), description="Names from `models`, or patterns in which `*` stands for anything."
    )
    organization: Name = Field("default", description="The organization that the key belongs to.")
    team: Name | None = Field(None, description="The team that the key belongs to.")
    user: Label | None = Field(None, description="The user that the key belongs to.")
    networks: tuple[CidrNetwork, ...] = Field(
        (), description="Networks that the key may be used from; any if none is given."
    )
    expires: Moment | None = Field(None, description="When the key ends; never if not given.")
    tags: dict[Label, str] = Field({}, description="Fixed on everything that the key does.")
    limits: LimitsSection = Field(
        default_factory=no_limits, description="How much may be used with the key."
    )


class AuthSection(Section):
    """How long the gateway goes on when `auth` does not answer."""

    stale_for: PositiveDuration = lasting(
        "30s",
        "For how long callers that are known are still let in without an answer.",
    )
