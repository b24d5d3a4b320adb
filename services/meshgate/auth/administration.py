"""The records of auth, as far as a caller of the admin API reaches."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast

import structlog

from meshgate.auth.directory import Collection, Keys, Page, Query, Records
from meshgate.auth.records import GROUP_PREFIX, IssuedKey, Key, Organization, Record, Team, User
from meshgate.runtime.errors import (
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from meshgate.runtime.permissions import ROLES, Caller, Reach

R = TypeVar("R", bound=Record)
_SHOWN_CHARACTERS = 100

_log = structlog.get_logger(__name__)


class Administered(Generic[R]):
    """The records of one kind, for many callers.

    What a caller does not reach is not found, in the same words as what does not exist. Records
    that have roles which a caller may not give are not its to change: who can change a key can
    make itself one.

    Every method may also raise what the one of the `Collection` does, and PermissionDeniedError
    where the caller may not do this at all.

    Args:
        kind: `key`, `team`, ...: the permissions are called after it.
        records: All of them.
    """

    def __init__(self, kind: str, records: Collection[R]) -> None:
        self._kind = kind
        self._records = records
        self._read = f"{kind}s.read"
        self._write = f"{kind}s.write"

    async def get(self, caller: Caller, record_id: str) -> R:
        """The record.

        Raises:
            NotFoundError: The caller reaches no such record.
        """
        return await self._found(caller, self._read, record_id)

    async def list(self, caller: Caller, query: Query, page_size: int, page_token: str) -> Page[R]:
        """Those of the records that fit and that the caller reaches, by name."""
        reach = caller.reach(self._read)
        own_id = self._only(caller, reach)
        if own_id is not None:
            record = await self._found(caller, self._read, own_id)
            fits = record.name.startswith(query.name_prefix)
            return Page((record,) if fits else (), "")
        return await self._records.list(narrowed(query, caller, reach), page_size, page_token)

    async def update(
        self, caller: Caller, record_id: str, change: Callable[[R], R], etag: str
    ) -> R:
        """Replace the record by what `change` makes of it.

        Raises:
            NotFoundError: The caller reaches no such record.
            PermissionDeniedError: It has roles before or after, or models only after, that the
                caller may not give.
        """
        await self._found(caller, self._write, record_id)

        def checked(record: R) -> R:
            _check_roles(caller, record)
            changed = change(record)
            _check_names(changed)
            _check_roles(caller, changed)
            _check_models(caller, changed, before=_models(record))
            return changed

        updated = await self._records.update(record_id, checked, etag)
        self._tell(caller, "updated", record_id)
        return updated

    async def delete(self, caller: Caller, record_id: str, etag: str) -> None:
        """Forget the record.

        Raises:
            NotFoundError: The caller reaches no such record.
            PermissionDeniedError: It has roles that the caller may not give.
        """
        _, etag = await self._in_hand(caller, record_id, etag)
        await self._records.delete(record_id, etag)
        self._tell(caller, "deleted", record_id)

    async def _found(self, caller: Caller, permission: str, record_id: str) -> R:
        try:
            record = await self._records.get(record_id)
        except NotFoundError:
            raise self._not_found(record_id) from None
        if not caller.covers(permission, *place_of(record)):
            raise self._not_found(record_id)
        return record

    async def _in_hand(self, caller: Caller, record_id: str, etag: str) -> tuple[R, str]:
        """The record, if the caller may do with it as it likes, and the etag to ask for.

        Whoever may not give every role asks for the record that was looked at: it could be given
        roles in between.
        """
        record = await self._found(caller, self._write, record_id)
        _check_roles(caller, record)
        return record, etag if caller.may_give(ROLES) else etag or record.etag

    def _only(self, caller: Caller, reach: Reach) -> str | None:
        """The id of the one record of this kind that the caller reaches; None if there may be more."""
        if self._kind == "organization" and reach is not Reach.EVERYTHING:
            return caller.organization_id
        if self._kind == "team" and reach is Reach.TEAM:
            return caller.team_id
        return None

    def _tell(self, caller: Caller, what: str, record_id: str) -> None:
        """Leave in the log who did what."""
        _log.info(f"{self._kind} {what}", id=record_id, caller=caller.principal_id)

    def _not_found(self, record_id: str) -> NotFoundError:
        shown = record_id[:_SHOWN_CHARACTERS]
        return NotFoundError(f"there is no {self._kind} {shown!r}", resource=self._kind, id=shown)


class AdministeredRecords(Administered[R]):
    """The records of a kind that callers may make themselves."""

    def __init__(self, kind: str, records: Records[R]) -> None:
        super().__init__(kind, records)
        self._creating = records

    async def create(self, caller: Caller, record: R) -> R:
        """Keep a new record, in the caller's organization if it names none.

        Raises:
            PermissionDeniedError: It lies where the caller does not reach, or has roles or models
                that the caller may not give.
        """
        created = await self._creating.create(_admitted(caller, self._write, record))
        self._tell(caller, "created", created.id)
        return created


class AdministeredKeys(Administered[Key]):
    """The keys."""

    def __init__(self, keys: Keys) -> None:
        super().__init__("key", keys)
        self._keys = keys

    async def issue(self, caller: Caller, record: Key) -> IssuedKey:
        """Make a key, in the caller's organization and team if it names none.

        Raises:
            PermissionDeniedError: It lies where the caller does not reach, or has roles or models
                that the caller may not give.
        """
        record = _admitted(caller, self._write, record)
        issued = await self._keys.issue(replace(record, created_by=caller.principal_id))
        self._tell(caller, "created", issued.key.id)
        return issued

    async def revoke(self, caller: Caller, key_id: str, etag: str) -> Key:
        """Make the key useless.

        Raises:
            NotFoundError: The caller reaches no such key.
            PermissionDeniedError: It has roles that the caller may not give.
        """
        _, etag = await self._in_hand(caller, key_id, etag)
        revoked = await self._keys.revoke(key_id, etag)
        self._tell(caller, "revoked", key_id)
        return revoked

    async def rotate(self, caller: Caller, key_id: str, overlap: timedelta, etag: str) -> IssuedKey:
        """Give the key a new secret.

        Raises:
            NotFoundError: The caller reaches no such key.
            PermissionDeniedError: It has roles or models that the caller may not give: whoever has
                the secret has them.
        """
        record, etag = await self._in_hand(caller, key_id, etag)
        _check_models(caller, record)
        issued = await self._keys.rotate(key_id, overlap, etag)
        self._tell(caller, "rotated", key_id)
        return issued


def place_of(record: Record) -> tuple[str, str]:
    """The ids of the organization and of the team that a record lies in."""
    match record:
        case Organization():
            return record.organization_id, ""
        case User():
            return record.organization_id, ""
        case Team() | Key():
            return record.organization_id, record.team_id


def _admitted(caller: Caller, permission: str, record: R) -> R:
    """The new record, in its place, if the caller may make it there and so."""
    reach = caller.reach(permission)
    if isinstance(record, Organization):
        return record
    placed: Any = record
    if not record.organization_id:
        placed = replace(placed, organization_id=caller.organization_id)
    if reach is Reach.TEAM and isinstance(record, Key) and not record.team_id:
        placed = replace(placed, team_id=caller.team_id)
    if not caller.covers(permission, *place_of(placed)):
        raise _outside(caller, reach)
    _check_names(placed)
    _check_roles(caller, placed)
    _check_models(caller, placed)
    return cast("R", placed)


def narrowed(query: Query, caller: Caller, reach: Reach) -> Query:
    """The query, for what the caller reaches.

    Raises:
        PermissionDeniedError: It asks for what lies elsewhere.
    """
    if reach is Reach.EVERYTHING:
        return query
    narrow = replace(query, organization_id=query.organization_id or caller.organization_id)
    if reach is Reach.TEAM:
        narrow = replace(narrow, team_id=query.team_id or caller.team_id)
    wanted = (narrow.organization_id, narrow.team_id if reach is Reach.TEAM else "")
    own = (caller.organization_id, caller.team_id if reach is Reach.TEAM else "")
    if wanted != own:
        raise _outside(caller, reach)
    return narrow


def _check_roles(caller: Caller, record: Record) -> None:
    """Check that the caller may give the roles of a record.

    Raises:
        PermissionDeniedError: It may not.
    """
    roles = _roles(record)
    # What is no role gives nothing.
    if not caller.may_give(role for role in roles if role in ROLES):
        named = ", ".join(roles)
        raise PermissionDeniedError(
            f"this key may not give the roles {named}, nor change what has them", roles=named
        )


def _check_names(record: Record) -> None:
    """Check that the roles of a record are roles.

    Raises:
        InvalidRequestError: One is not.
    """
    for role in _roles(record):
        if role not in ROLES:
            shown = role[:_SHOWN_CHARACTERS]
            raise InvalidRequestError(
                f"roles: {shown!r} is no role: use {', '.join(ROLES)}", field="roles", role=shown
            )


def _check_models(caller: Caller, record: Record, before: tuple[str, ...] = ()) -> None:
    """Check that the caller may give the models of a record, but for those it had before.

    Raises:
        PermissionDeniedError: It may not.
    """
    for pattern in _models(record):
        # What is in a group may change: it takes all models to give one.
        given = "*" if pattern.startswith(GROUP_PREFIX) else pattern
        if pattern not in before and not caller.may_give_model(given):
            shown = pattern[:_SHOWN_CHARACTERS]
            raise PermissionDeniedError(
                f"this key may not use the model {shown!r} itself, nor let others use it",
                field="allowed_models",
                model=shown,
            )


def _models(record: Record) -> tuple[str, ...]:
    return record.allowed_models if isinstance(record, Key) else ()


def _roles(record: Record) -> tuple[str, ...]:
    return record.roles if isinstance(record, User | Key) else ()


def _outside(caller: Caller, reach: Reach) -> PermissionDeniedError:
    if reach is Reach.TEAM:
        return PermissionDeniedError(
            f"this key administers only the team {caller.team_id}", team_id=caller.team_id
        )
    return PermissionDeniedError(
        f"this key administers only the organization {caller.organization_id}",
        organization_id=caller.organization_id,
    )
