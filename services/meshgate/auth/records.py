"""What people keep about who may call: organizations, teams, users, keys.

What the directory sets by itself (ids, times, etags, ...) is left out of a record that is to be
created. Times are in UTC, to the microsecond. Nothing here holds a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from meshgate.limits.limit import Limit

DEFAULT_ORGANIZATION = "default"
"""The id of the organization that is always there."""
GROUP_PREFIX = "group:"
"""What comes before the name of a model group among allowed models."""

_UNSET = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What all kinds of record have.

    Attributes:
        limits: What a key may use, or all keys of a user, team or organization together.
        tags: Free. Those of a key are fixed on everything that it does.
        create_time: When it was made. Set by the directory, as is all that follows.
        update_time: When it was last changed.
        etag: Another one after each change.
    """

    limits: tuple[Limit, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    create_time: datetime = _UNSET
    update_time: datetime = _UNSET
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization(_Kept):
    """Who everything else belongs to.

    Attributes:
        organization_id: `org_...`, or `default`. Set by the directory.
        name: Unique over all organizations.
        model_groups: Names of models and patterns, by the name of their group: a key may name
            `group:NAME` among its allowed models.
    """

    organization_id: str = ""
    name: str
    model_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same in all kinds of record."""
        return self.organization_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Team(_Kept):
    """Some users and keys of an organization.

    Attributes:
        team_id: `team_...`. Set by the directory.
        organization_id: Whose it is. Never changes.
        name: Unique in the organization.
    """

    team_id: str = ""
    organization_id: str = DEFAULT_ORGANIZATION
    name: str

    @property
    def id(self) -> str:
        """The same in all kinds of record."""
        return self.team_id


@dataclass(frozen=True, slots=True, kw_only=True)
class User(_Kept):
    """A person of an organization.

    Attributes:
        user_id: `user_...`. Set by the directory.
        organization_id: Whose it is. Never changes.
        name: Unique in the organization.
        email: Unique in the organization, in lower case; empty for none.
        roles: What the user may administer, and the most that a key of the user may.
        team_ids: The teams of the organization that the user is a member of.
    """

    user_id: str = ""
    organization_id: str = DEFAULT_ORGANIZATION
    name: str
    email: str = ""
    roles: tuple[str, ...] = ()
    team_ids: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same in all kinds of record."""
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(_Kept):
    """What lets a program in. The secret itself is shown once, and only its hash is kept.

    Attributes:
        key_id: `key_...`, and the id of the key's principal. Set by the directory. Without `key_`
            it stands in the key itself, `mg-<public id>-<secret>`.
        organization_id: Whose it is. Never changes.
        team_id: The team of the organization that it belongs to, if any. Never changes.
        user_id: The user of the organization that it belongs to, if any: a member of the team, if
            it has one. Never changes.
        name: Unique among the keys of the organization that are not revoked.
        allowed_models: Names, patterns in which `*` stands for any run of characters, and
            `group:NAME` for a model group of the organization. None means none.
        allowed_networks: CIDR notation. None means any.
        roles: What the key may administer. Those that its user does not have are of no use.
        expire_time: When it ends; None for never.
        created_by: The principal id of who made it. Never changes.
        revoke_time: When it was revoked; None if it was not. Set by the directory, as is all that
            follows.
        last_characters: The end of the secret, to tell keys apart.
        overlap_end_time: Until when the secret before the last rotation is good; None if there is
            no such secret.
    """

    key_id: str = ""
    organization_id: str = DEFAULT_ORGANIZATION
    team_id: str = ""
    user_id: str = ""
    name: str
    allowed_models: tuple[str, ...] = ("*",)
    allowed_networks: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    expire_time: datetime | None = None
    created_by: str = ""
    revoke_time: datetime | None = None
    last_characters: str = ""
    overlap_end_time: datetime | None = None

    @property
    def id(self) -> str:
        """The same in all kinds of record."""
        return self.key_id


Record: TypeAlias = Organization | Team | User | Key


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key together with what clients send, which nobody can find out later.

    Attributes:
        key: The record.
        credential: `mg-<public id>-<secret>`. Never logged or kept.
    """

    key: Key
    credential: str = field(repr=False)
