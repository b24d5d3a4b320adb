"""Whose limits apply to a principal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from meshgate.config.snapshot import LimitsOptions
from meshgate.limits.limit import Enforcement, Limit, Subject, SubjectKind


@dataclass(frozen=True, slots=True)
class Scopes:
    """What organizations, teams and users add to the principals of their keys, by their ids.

    Attributes:
        limits: Of those that have any.
        model_groups: Of organizations: models and patterns by group.
        roles: Of users.
    """

    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    model_groups: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


NO_SCOPES = Scopes()


class ScopeSource(Protocol):
    """Knows the records that keys belong to."""

    async def scopes(self, ids: frozenset[str]) -> Scopes:
        """What those of the organizations, teams and users add that there are.

        Raises:
            ServiceUnavailableError: It cannot be told now.
        """
        ...


class NoScopes:
    """Knows no records: there is no database."""

    async def scopes(self, _ids: frozenset[str]) -> Scopes:
        return NO_SCOPES


class Belonging(Protocol):
    """Where a key belongs, and what it states itself. Ids are empty where there is none."""

    @property
    def key_id(self) -> str: ...

    @property
    def user_id(self) -> str: ...

    @property
    def team_id(self) -> str: ...

    @property
    def organization_id(self) -> str: ...

    @property
    def limits(self) -> tuple[Limit, ...]: ...

    @property
    def tags(self) -> Mapping[str, str]: ...

    @property
    def expire_time(self) -> datetime | None: ...


def subjects_of(key: Belonging, scopes: Scopes, options: LimitsOptions) -> tuple[Subject, ...]:
    """The subjects of a key that have limits, narrowest first."""
    records = (
        (SubjectKind.USER, key.user_id),
        (SubjectKind.TEAM, key.team_id),
        (SubjectKind.ORGANIZATION, key.organization_id),
    )
    tags = (f"{name}={value}" for name, value in sorted(key.tags.items()))
    chain = [
        Subject(SubjectKind.KEY, key.key_id, key.limits + _defaults(key.limits, options)),
        *(Subject(kind, of, scopes.limits.get(of, ())) for kind, of in records),
        *(Subject(SubjectKind.TAG, tag, options.tags.get(tag, ())) for tag in tags),
        everyone(options),
    ]
    return tuple(subject for subject in chain if subject.limits)


def everyone(options: LimitsOptions) -> Subject:
    """All traffic together."""
    return Subject(SubjectKind.EVERYONE, "", options.shared)


def _defaults(own: Iterable[Limit], options: LimitsOptions) -> tuple[Limit, ...]:
    """The usual limits in the kinds that a key does not state itself: a soft one refuses nothing."""
    stated = {limit.kind for limit in own if limit.enforcement is not Enforcement.SOFT}
    return tuple(limit for limit in options.default if limit.kind not in stated)
