"""The commands that teams, users and organizations have in common."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import click

from meshgate.cli import limit_options
from meshgate.cli.admin_api import ORGANIZATION, AdminApi, Kind, Record
from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.examples import examples
from meshgate.cli.record_options import (
    asking,
    changed_parts,
    organization_of,
    print_record,
    print_records,
    updated,
)

Fields = Callable[[AdminApi, Mapping[str, Any], Record], dict[str, Any]]
"""The fields of a kind's own that options state; gets the record before, which may be empty."""


def create(data: DataDirectory, kind: Kind, options: Mapping[str, Any], fields: Fields) -> None:
    """Make a record of what options state, and print it."""
    record: Record = {"name": options["name"]}
    limits = limit_options.limits_in(options)
    if options["tags"]:
        record["tags"] = dict(options["tags"])
    if limits:
        record["limits"] = limit_options.as_json(limits)
    api = AdminApi.of(data)
    organization_id = organization_of(api, ORGANIZATION, options.get("organization"))
    if organization_id:
        record["organization_id"] = organization_id
    record |= fields(api, options, record)
    print_record(api.create(kind, record)[kind.noun], options["as_json"])


def update(
    data: DataDirectory, kind: Kind, text: str, options: Mapping[str, Any], fields: Fields
) -> None:
    """Change a record as options say, and print it."""
    limit_options.limits_in(options)
    api = AdminApi.of(data)
    record = api.get(kind, id_of(api, kind, text))
    changes = fields(api, options, record) | changed_parts(record, options, options["clear"])
    if options["name"]:
        changes["name"] = options["name"]
    print_record(updated(api, kind, record, changes), options["as_json"])


def listing(
    data: DataDirectory,
    kind: Kind,
    columns: Mapping[str, str],
    options: Mapping[str, Any],
    filters: Callable[[AdminApi, str], Mapping[str, str]] = lambda _api, _organization_id: {},
) -> None:
    """Print the records that fit."""
    api = AdminApi.of(data)
    organization_id = organization_of(api, ORGANIZATION, options.get("organization"))
    query = {
        "organization_id": organization_id,
        "name_prefix": options["name"],
        **filters(api, organization_id),
    }
    print_records(api.list(kind, query), columns, options["as_json"], f"no {kind.plural}")


def add_get_and_delete(group: click.Group, kind: Kind, condition: str) -> None:
    """Add the two commands, which are the same for every kind.

    Args:
        group: Where to.
        kind: Of what.
        condition: What must not be there any more when one is deleted.
    """
    noun, named = kind.noun, kind.noun.upper()

    @group.command(
        "get", short_help=f"Show one {noun}.", epilog=examples(f"meshgate {kind.plural} get acme")
    )
    @click.argument("record", metavar=named)
    @asking
    def get_command(data_directory: DataDirectory, as_json: bool, record: str) -> None:
        """Show what there is to know of it."""
        api = AdminApi.of(data_directory)
        print_record(api.get(kind, id_of(api, kind, record)), as_json)

    @group.command(
        "delete",
        help=f"Forget one {noun}, to which no {condition} belong any more.",
        short_help=f"Forget one {noun}.",
        epilog=examples(f"meshgate {kind.plural} delete acme"),
    )
    @click.argument("record", metavar=named)
    @asking
    def delete_command(data_directory: DataDirectory, as_json: bool, record: str) -> None:
        api = AdminApi.of(data_directory)
        record_id = id_of(api, kind, record)
        api.delete(kind, record_id)
        click.echo(json.dumps({"id": record_id}) if as_json else f"{record_id} is deleted")


def id_of(api: AdminApi, kind: Kind, text: str) -> str:
    """The id of a record that is named by its name or id."""
    if kind is ORGANIZATION:
        return organization_of(api, kind, text)
    return api.id_of(kind, text)
