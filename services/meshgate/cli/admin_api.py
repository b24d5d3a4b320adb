"""The admin API of a gateway, as REST."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

import click

from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.gateway import Gateway

Record: TypeAlias = dict[str, Any]
"""A record as the API has it in JSON."""

_PAGE_SIZE = 1_000


class Kind(NamedTuple):
    """A kind of record.

    Attributes:
        noun: What one is called.
        id_beginnings: How ids begin; whatever begins otherwise is taken for a name.
    """

    noun: str
    id_beginnings: tuple[str, ...]

    @property
    def plural(self) -> str:
        return f"{self.noun}s"


KEY = Kind("key", ("key_", "config/"))
TEAM = Kind("team", ("team_",))
USER = Kind("user", ("user_",))
ORGANIZATION = Kind("organization", ("org_",))
# Has no names: the id is that of whoever has it, after its kind.
BALANCE = Kind("balance", ("",))


class AdminApi:
    """Asks a gateway with the admin key.

    Every method raises click.ClickException, with one sentence, if the gateway cannot be reached or
    refuses.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @classmethod
    def of(cls, data: DataDirectory) -> "AdminApi":
        """The one that the environment and the data directory lead to."""
        return cls(Gateway.for_admin(data))

    def create(self, kind: Kind, record: Record) -> Record:
        """The answer to a new record: the record by its noun, and for keys the `secret`."""
        return self._ask("POST", _path(kind), kind.noun, body=record)

    def get(self, kind: Kind, record_id: str) -> Record:
        record: Record = self._ask("GET", _path(kind, record_id), kind.noun)[kind.noun]
        return record

    def list(self, kind: Kind, filters: Mapping[str, Any]) -> Sequence[Record]:
        """All that fit the filters; those that are empty are left out."""
        query = {name: value for name, value in filters.items() if value}
        return self._pages(_path(kind), kind.plural, query)

    def top_ups(self, subject: str) -> Sequence[Record]:
        """All top-ups of a balance, the newest first."""
        return self._pages(f"{_path(BALANCE, subject)}:topUps", "top_ups", {})

    def update(self, kind: Kind, record: Record, names: Iterable[str]) -> Record:
        """The record as it is after these of its fields were changed; `id` says which."""
        path = _path(kind, record["id"])
        mask = {"update_mask": ",".join(names)}
        changed: Record = self._ask("PATCH", path, kind.noun, params=mask, body=record)[kind.noun]
        return changed

    def delete(self, kind: Kind, record_id: str) -> None:
        self._ask("DELETE", _path(kind, record_id))

    def do(self, kind: Kind, record_id: str, verb: str, body: Record) -> Record:
        """The answer to `revoke`, `rotate` or `topUp`."""
        return self._ask("POST", f"{_path(kind, record_id)}:{verb}", kind.noun, body=body)

    def id_of(self, kind: Kind, text: str, organization_id: str = "") -> str:
        """The id of the record that has the text for its id or its name.

        Keys that were revoked go by their names as long as no other key has it.

        Raises:
            click.ClickException: None has the name, or several have it.
        """
        if text.startswith(kind.id_beginnings):
            return text
        filters = {"name_prefix": text, "organization_id": organization_id}
        found = self._named(kind, text, filters)
        if not found and kind is KEY:
            found = self._named(kind, text, filters | {"show_revoked": "true"})
        if not found:
            raise click.ClickException(
                f"there is no {kind.noun} called {text}: see `meshgate {kind.plural} list`"
            )
        if len(found) > 1:
            raise click.ClickException(
                f"several {kind.plural} are called {text}: use the id, one of {', '.join(found)}"
            )
        return found[0]

    def _pages(self, path: str, member: str, query: Mapping[str, Any]) -> Sequence[Record]:
        """What stands in a member of all pages of a list."""
        records: list[Record] = []
        token = ""
        while True:
            params = {**query, "page_size": _PAGE_SIZE, "page_token": token}
            page = self._ask("GET", path, member, params=params)
            records += page[member]
            token = page.get("next_page_token", "")
            if not token:
                return records

    def _named(self, kind: Kind, name: str, filters: Mapping[str, str]) -> Sequence[str]:
        return [record["id"] for record in self.list(kind, filters) if record["name"] == name]

    def _ask(
        self,
        method: str,
        path: str,
        *members: str,
        params: Mapping[str, Any] | None = None,
        body: Record | None = None,
    ) -> Record:
        with self._gateway.reached(), self._gateway.client() as client:
            answer = client.request(method, path, params=params, json=body)
            self._gateway.check(answer)
        return self._gateway.object_with(answer.content, *members)


def _path(kind: Kind, record_id: str = "") -> str:
    path = f"/admin/v1/{kind.plural}"
    return f"{path}/{quote(record_id)}" if record_id else path
