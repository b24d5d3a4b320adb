"""`meshgate teams`: users and keys that share limits."""

from typing import Any

import click

from meshgate.cli import group_commands
from meshgate.cli.admin_api import TEAM
from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.examples import examples
from meshgate.cli.limit_options import limit_options
from meshgate.cli.record_options import asking, clear_option, organization_option, tag_option

_COLUMNS = {"ID": "id", "NAME": "name", "ORGANIZATION": "organization_id", "LIMITS": "limits"}


@click.group("teams", short_help="Make, list and change teams.")
def teams_commands() -> None:
    """Users and keys that share limits: through the admin API.

    TEAM is the id of a team or its name.
    """


def _no_fields(*_: Any) -> dict[str, Any]:
    """A team has none of its own."""
    return {}


@teams_commands.command(
    "create",
    short_help="Make a team.",
    epilog=examples("meshgate teams create --name search --budget 500 --per month"),
)
@click.option("--name", required=True, help="What people call it.")
@organization_option
@tag_option
@limit_options
@asking
def create_command(data_directory: DataDirectory, **options: Any) -> None:
    """Make a team; its limits bound what all its keys use together."""
    group_commands.create(data_directory, TEAM, options, _no_fields)


@teams_commands.command("list", short_help="List teams.", epilog=examples("meshgate teams list"))
@organization_option
@click.option("--name", help="How names begin.")
@asking
def list_command(data_directory: DataDirectory, **options: Any) -> None:
    """List teams by name."""
    group_commands.listing(data_directory, TEAM, _COLUMNS, options)


@teams_commands.command(
    "update",
    short_help="Change a team.",
    epilog=examples("meshgate teams update search --tpm 1000000"),
)
@click.argument("team")
@click.option("--name", help="What people shall call it.")
@tag_option
@limit_options
@clear_option("tags", "limits")
@asking
def update_command(data_directory: DataDirectory, team: str, **options: Any) -> None:
    """Change a team. Tags and limits are added, or replace those of the same name."""
    group_commands.update(data_directory, TEAM, team, options, _no_fields)


group_commands.add_get_and_delete(teams_commands, TEAM, "users and keys")
