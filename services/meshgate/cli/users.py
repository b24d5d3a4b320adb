"""`meshgate users`: people who have keys."""

from collections.abc import Mapping
from typing import Any

import click

from meshgate.cli import group_commands
from meshgate.cli.admin_api import TEAM, USER, AdminApi, Record
from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.examples import examples
from meshgate.cli.limit_options import limit_options
from meshgate.cli.record_options import asking, clear_option, organization_option, tag_option

_COLUMNS = {
    "ID": "id",
    "NAME": "name",
    "E-MAIL": "email",
    "ORGANIZATION": "organization_id",
    "TEAMS": "team_ids",
    "ROLES": "roles",
    "LIMITS": "limits",
}
_EMPTY: Mapping[str, tuple[str, Any]] = {
    "email": ("email", ""),
    "roles": ("roles", []),
    "teams": ("team_ids", []),
}


@click.group("users", short_help="Make, list and change users.")
def users_commands() -> None:
    """People who have keys: through the admin API.

    USER is the id of a user or their name.
    """


def _fields(api: AdminApi, options: Mapping[str, Any], record: Record) -> dict[str, Any]:
    fields = dict(_EMPTY[name] for name in options.get("clear", ()) if name in _EMPTY)
    if options["email"]:
        fields["email"] = options["email"]
    if options["roles"]:
        fields["roles"] = list(options["roles"])
    if options["teams"]:
        within = record.get("organization_id", "")
        fields["team_ids"] = [api.id_of(TEAM, team, within) for team in options["teams"]]
    return fields


_role_option = click.option(
    "--role", "roles", multiple=True, help="What the user and their keys may administer."
)
_team_option = click.option("--team", "teams", multiple=True, help="A member of it: name or id.")


@users_commands.command(
    "create",
    short_help="Make a user.",
    epilog=examples("meshgate users create --name ada --email ada@example.com --team search"),
)
@click.option("--name", required=True, help="What people call them.")
@click.option("--email", help="Their address.")
@_role_option
@_team_option
@organization_option
@tag_option
@limit_options
@asking
def create_command(data_directory: DataDirectory, **options: Any) -> None:
    """Make a user; their limits bound what all their keys use together."""
    group_commands.create(data_directory, USER, options, _fields)


@users_commands.command(
    "list", short_help="List users.", epilog=examples("meshgate users list --team search")
)
@organization_option
@click.option("--team", metavar="NAME", help="Its members: by name or id.")
@click.option("--name", help="How names begin.")
@asking
def list_command(data_directory: DataDirectory, **options: Any) -> None:
    """List users by name."""

    def filters(api: AdminApi, organization_id: str) -> Mapping[str, str]:
        team = options["team"]
        return {"team_id": api.id_of(TEAM, team, organization_id)} if team else {}

    group_commands.listing(data_directory, USER, _COLUMNS, options, filters)


@users_commands.command(
    "update",
    short_help="Change a user.",
    epilog=examples(
        "meshgate users update ada --role viewer", "meshgate users update ada --clear roles"
    ),
)
@click.argument("user")
@click.option("--name", help="What people shall call them.")
@click.option("--email", help="Their address.")
@_role_option
@_team_option
@tag_option
@limit_options
@clear_option("email", "roles", "teams", "tags", "limits")
@asking
def update_command(data_directory: DataDirectory, user: str, **options: Any) -> None:
    """Change a user.

    Roles and teams replace those before; tags and limits are added, or replace those of the same
    name.
    """
    group_commands.update(data_directory, USER, user, options, _fields)


group_commands.add_get_and_delete(users_commands, USER, "keys")
