"""What callers of the admin API may do: roles, what each permits, and how far it reaches."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from meshgate.runtime.errors import PermissionDeniedError


class Reach(enum.IntEnum):
    """How far a permission reaches; the greater one includes the smaller."""

    TEAM = 1
    ORGANIZATION = 2
    EVERYTHING = 3


@dataclass(frozen=True, slots=True)
class Role:
    """A role.

    Attributes:
        reach: How far its permissions reach: the team or the organization of who has it, or beyond.
        permissions: What it permits.
        gives: The roles that who has it may give to others, within its reach.
    """

    reach: Reach
    permissions: frozenset[str]
    gives: frozenset[str]


_READ = frozenset(
    {
        "keys.read",
        "teams.read",
        "users.read",
        "organizations.read",
        "balances.read",
        "usage.read",
    }
)
_WRITE = frozenset({"keys.write", "teams.write", "users.write"})

ROLES: Mapping[str, Role] = {
    "admin": Role(
        Reach.EVERYTHING,
        _READ | _WRITE | {"organizations.write", "balances.write", "usage.audit", "usage.write"},
        frozenset({"admin", "organization-admin", "team-admin", "viewer"}),
    ),
    # Not its own organization: the limits there are set by who runs the gateway.
    "organization-admin": Role(
        Reach.ORGANIZATION,
        _READ | _WRITE,
        frozenset({"organization-admin", "team-admin", "viewer"}),
    ),
    "team-admin": Role(
        Reach.TEAM,
        frozenset({"keys.read", "keys.write", "teams.read", "balances.read", "usage.read"}),
        frozenset({"team-admin"}),
    ),
    "viewer": Role(Reach.ORGANIZATION, _READ, frozenset({"viewer"})),
}
"""Every role by its name. Other names permit nothing."""

PERMISSIONS = frozenset().union(*(role.permissions for role in ROLES.values()))
"""Every permission that an RPC may ask for."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the admin API, once authenticated.

    Attributes:
        principal_id: Unique and stable.
        organization_id: Whose it is.
        team_id: The team that it belongs to, if any.
        roles: What it may administer.
        allowed_models: The models that it may use itself: names, or patterns in which `*` stands
            for any run of characters.
    """

    principal_id: str
    organization_id: str
    team_id: str = ""
    roles: tuple[str, ...] = ()
    allowed_models: tuple[str, ...] = ()

    def reach(self, permission: str) -> Reach:
        """How far a permission of the caller reaches.

        Raises:
            PermissionDeniedError: It does not have the permission.
        """
        reaches = [role.reach for role in self._roles() if permission in role.permissions]
        if not reaches:
            raise PermissionDeniedError(
                f"this needs the permission {permission}, which this key does not have",
                permission=permission,
            )
        return max(reaches)

    def covers(self, permission: str, organization_id: str, team_id: str) -> bool:
        """Whether a permission of the caller reaches what belongs to an organization and team.

        Raises:
            PermissionDeniedError: It does not have the permission at all.
        """
        match self.reach(permission):
            case Reach.EVERYTHING:
                return True
            case Reach.ORGANIZATION:
                return organization_id == self.organization_id
            case Reach.TEAM:
                return (organization_id, team_id) == (self.organization_id, self.team_id)

    def may_give(self, roles: Iterable[str]) -> bool:
        """Whether the caller may give others these roles, or take what has them in its hands."""
        return set(roles) <= {name for role in self._roles() for name in role.gives}

    def may_give_model(self, pattern: str) -> bool:
        """Whether the caller may let others use all models that a name or pattern stands for."""
        if any(role.reach is Reach.EVERYTHING for role in self._roles()):
            return True
        # A star of the one can only be matched by a star of the other.
        return any(_matches(own, pattern) for own in self.allowed_models)

    def _roles(self) -> Iterable[Role]:
        for name in self.roles:
            role = ROLES.get(name)
            # The administrator of a team has a team, or nothing to administer.
            if role is not None and (role.reach is not Reach.TEAM or self.team_id):
                yield role


def _matches(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern in which only `*` is special."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    end = len(text) - len(last)
    if not (text.startswith(first) and text.endswith(last) and len(first) <= end):
        return False
    at = len(first)
    for part in middle:
        # The first place is as good as any other, so that none is tried twice.
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
