"""`meshgate organizations`: whom everything else belongs to."""

from collections.abc import Mapping
from typing import Any

import click

from meshgate.cli import group_commands
from meshgate.cli.admin_api import ORGANIZATION, AdminApi, Record
from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.examples import examples
from meshgate.cli.limit_options import limit_options
from meshgate.cli.record_options import PairType, asking, clear_option, tag_option

_COLUMNS = {"ID": "id", "NAME": "name", "MODEL GROUPS": "model_groups", "LIMITS": "limits"}


@click.group("organizations", short_help="Make, list and change organizations.")
def organizations_commands() -> None:
    """Whom teams, users and keys belong to: through the admin API.

    ORGANIZATION is the id of an organization or its name.
    """


def _fields(_api: AdminApi, options: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """The model groups: those of the same name are replaced, the others stay."""
    cleared = "model-groups" in options.get("clear", ())
    if not (options["model_groups"] or cleared):
        return {}
    before = [] if cleared else record.get("model_groups", [])
    groups = {group["name"]: group["models"] for group in before}
    groups |= {name: models.split(",") for name, models in options["model_groups"]}
    return {"model_groups": [{"name": name, "models": models} for name, models in groups.items()]}


_group_option = click.option(
    "--model-group",
    "model_groups",
    type=PairType(),
    multiple=True,
    metavar="NAME=MODEL,...",
    help="Models that keys may be allowed as `group:NAME`.",
)


@organizations_commands.command(
    "create",
    short_help="Make an organization.",
    epilog=examples(
        "meshgate organizations create --name acme --budget 5000 --per month",
        "meshgate organizations create --name acme --model-group 'cheap=gpt-*-mini,llama'",
    ),
)
@click.option("--name", required=True, help="What people call it.")
@_group_option
@tag_option
@limit_options
@asking
def create_command(data_directory: DataDirectory, **options: Any) -> None:
    """Make an organization; its limits bound what all its keys use together."""
    group_commands.create(data_directory, ORGANIZATION, options, _fields)


@organizations_commands.command(
    "list", short_help="List organizations.", epilog=examples("meshgate organizations list")
)
@click.option("--name", help="How names begin.")
@asking
def list_command(data_directory: DataDirectory, **options: Any) -> None:
    """List organizations by name."""
    group_commands.listing(data_directory, ORGANIZATION, _COLUMNS, options)


@organizations_commands.command(
    "update",
    short_help="Change an organization.",
    epilog=examples("meshgate organizations update acme --rpm 6000"),
)
@click.argument("organization")
@click.option("--name", help="What people shall call it.")
@_group_option
@tag_option
@limit_options
@clear_option("model-groups", "tags", "limits")
@asking
def update_command(data_directory: DataDirectory, organization: str, **options: Any) -> None:
    """Change an organization.

    Model groups, tags and limits are added, or replace those of the same name.
    """
    group_commands.update(data_directory, ORGANIZATION, organization, options, _fields)


group_commands.add_get_and_delete(organizations_commands, ORGANIZATION, "teams, users and keys")
