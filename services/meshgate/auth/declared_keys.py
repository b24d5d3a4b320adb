"""The keys of the configuration, among those of the directory: to be read, not to be changed."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import timedelta

from meshgate.auth.directory import EVERYTHING, Keys, KeyState, Page, Query
from meshgate.auth.page_tokens import page_size as checked_page_size
from meshgate.auth.records import IssuedKey, Key
from meshgate.config.snapshot import Key as ConfiguredKey
from meshgate.config.source import ConfigSource
from meshgate.runtime.errors import FailedPreconditionError, InvalidRequestError, NotFoundError

DECLARED_PREFIX = "config/"
"""How the ids of keys in the configuration begin."""

_TOKEN_PREFIX = "config."  # noqa: S105 - of page tokens


class KeysWithDeclared:
    """`Keys` of a directory, and before them in lists those of the configuration.

    Every method that would change a key of the configuration raises FailedPreconditionError.
    """

    def __init__(self, keys: Keys, source: ConfigSource) -> None:
        self._keys = keys
        self._source = source

    async def get(self, record_id: str) -> Key:
        if not _is_declared(record_id):
            return await self._keys.get(record_id)
        for key in self._source.current().keys.values():
            if key.key_id == record_id:
                return _record(key)
        shown = record_id[:100]
        raise NotFoundError(f"there is no key {shown!r}", resource="key", id=shown)

    async def list(
        self, query: Query = EVERYTHING, page_size: int = 0, page_token: str = ""
    ) -> Page[Key]:
        if page_token and not page_token.startswith(_TOKEN_PREFIX):
            return await self._keys.list(query, page_size, page_token)
        size = checked_page_size(page_size)
        after = _name_in(page_token)
        declared = [key for key in self._declared(query) if key.name > after]
        if len(declared) >= size:
            return Page(tuple(declared[:size]), _token_after(declared[size - 1].name))
        page = await self._keys.list(query, size - len(declared))
        return Page((*declared, *page.records), page.next_page_token)

    async def issue(self, record: Key) -> IssuedKey:
        return await self._keys.issue(record)

    async def update(self, record_id: str, change: Callable[[Key], Key], etag: str = "") -> Key:
        _check_changeable(record_id)
        return await self._keys.update(record_id, change, etag)

    async def delete(self, record_id: str, etag: str = "") -> None:
        _check_changeable(record_id)
        await self._keys.delete(record_id, etag)

    async def revoke(self, key_id: str, etag: str = "") -> Key:
        _check_changeable(key_id)
        return await self._keys.revoke(key_id, etag)

    async def rotate(self, key_id: str, overlap: timedelta, etag: str = "") -> IssuedKey:
        _check_changeable(key_id)
        return await self._keys.rotate(key_id, overlap, etag)

    def _declared(self, query: Query) -> Sequence[Key]:
        """Those of the configuration that fit, by name."""
        if query.key_state is KeyState.REVOKED:
            return ()
        records = (_record(key) for key in self._source.current().keys.values())
        return sorted(
            (record for record in records if _fits(record, query)), key=lambda record: record.name
        )


def _is_declared(key_id: str) -> bool:
    return key_id.startswith(DECLARED_PREFIX)


def _check_changeable(key_id: str) -> None:
    if _is_declared(key_id):
        shown = key_id[:100]
        raise FailedPreconditionError(
            f"the key {shown} is kept in the configuration: change it there",
            resource="key",
            id=shown,
        )


def _fits(record: Key, query: Query) -> bool:
    return (
        query.organization_id in ("", record.organization_id)
        and query.team_id in ("", record.team_id)
        and query.user_id in ("", record.user_id)
        and record.name.startswith(query.name_prefix)
    )


def _record(key: ConfiguredKey) -> Key:
    return Key(
        key_id=key.key_id,
        organization_id=key.organization_id,
        team_id=key.team_id,
        user_id=key.user_id,
        name=key.name,
        allowed_models=key.allowed_models,
        allowed_networks=tuple(str(network) for network in key.allowed_networks),
        limits=key.limits,
        tags=key.tags,
        expire_time=key.expire_time,
    )


def _token_after(name: str) -> str:
    return _TOKEN_PREFIX + base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _name_in(token: str) -> str:
    """The name after which a list of the configuration goes on; empty for its beginning.

    Raises:
        InvalidRequestError: The token was not made here.
    """
    text = token.removeprefix(_TOKEN_PREFIX)
    try:
        name = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        name = ""
    if token and (not name or _token_after(name) != token):
        raise InvalidRequestError(
            "the page token is not one that was given out: begin without one", field="page_token"
        )
    return name
