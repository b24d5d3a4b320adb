"""The principals that keys make, wherever they are kept."""

from meshgate.auth.principals import Principal, PrincipalKind
from meshgate.auth.scopes import Belonging, Scopes, subjects_of
from meshgate.config.snapshot import LimitsOptions, Network


def principal_of(
    key: Belonging,
    scopes: Scopes,
    options: LimitsOptions,
    *,
    allowed_models: tuple[str, ...],
    allowed_networks: tuple[Network, ...],
    roles: tuple[str, ...] = (),
) -> Principal:
    """The principal of a key that may use these models, from these networks, in these roles."""
    return Principal(
        principal_id=key.key_id,
        kind=PrincipalKind.KEY,
        key_id=key.key_id,
        user_id=key.user_id,
        team_id=key.team_id,
        organization_id=key.organization_id,
        roles=roles,
        allowed_models=allowed_models,
        allowed_networks=allowed_networks,
        expire_time=key.expire_time,
        tags=key.tags,
        subjects=subjects_of(key, scopes, options),
    )
