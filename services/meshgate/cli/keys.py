"""`meshgate keys`: the keys that clients call the gateway with."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import click

from meshgate.cli import limit_options
from meshgate.cli.admin_api import KEY, ORGANIZATION, TEAM, USER, AdminApi, Record
from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.examples import examples
from meshgate.cli.limit_options import limit_options as stating_limits
from meshgate.cli.record_options import (
    DurationType,
    asking,
    changed_parts,
    clear_option,
    expire_time,
    organization_of,
    organization_option,
    print_record,
    print_records,
    tag_option,
    updated,
)

Command = TypeVar("Command", bound=Callable[..., Any])

_COLUMNS = {
    "ID": "id",
    "NAME": "name",
    "ORGANIZATION": "organization_id",
    "TEAM": "team_id",
    "MODELS": "allowed_models",
    "LIMITS": "limits",
    "STATE": "state",
    "EXPIRES": "expire_time",
}
_LISTS = {"models": "allowed_models", "networks": "allowed_networks", "roles": "roles"}
_CLEARED: Mapping[str, Any] = {"models": [], "networks": [], "roles": [], "expiry": None}
_FIELDS = {**_LISTS, "expiry": "expire_time"}


@click.group("keys", short_help="Make, list, change and revoke keys.")
def keys_commands() -> None:
    """The keys that clients call the gateway with: through the admin API.

    KEY is the id of a key or its name.
    """


def _permitting(command: Command) -> Command:
    """The options that say what a key may do."""
    for option in (
        tag_option,
        click.option(
            "--expires-in", type=DurationType(), help="Ends after this time: 2h, 30d, ..."
        ),
        click.option("--role", "roles", multiple=True, help="What the key may administer."),
        click.option("--network", "networks", multiple=True, help="Usable from 10.0.0.0/8, ..."),
        click.option("--model", "models", multiple=True, help="A model, or a pattern with `*`."),
    ):
        command = option(command)
    return stating_limits(command)


@keys_commands.command(
    "create",
    short_help="Make a key.",
    epilog=examples(
        "meshgate keys create --name ci --model 'gpt-*' --rpm 600 --expires-in 30d",
        "meshgate keys create --name batch --team search --budget 50 --per month",
        "meshgate keys create --name ops --role viewer --json",
    ),
)
@click.option("--name", required=True, help="What people call it.")
@organization_option
@click.option("--team", metavar="NAME", help="By name or id.")
@click.option("--user", metavar="NAME", help="By name or id.")
@_permitting
@asking
def create_command(data_directory: DataDirectory, as_json: bool, **options: Any) -> None:
    """Make a key, and print it: this once. All models may be used unless some are named."""
    limits = limit_options.limits_in(options)
    record = {"name": options["name"], **_listed(options)}
    if options["expires_in"] is not None:
        record["expire_time"] = expire_time(options["expires_in"])
    if options["tags"]:
        record["tags"] = dict(options["tags"])
    if limits:
        record["limits"] = limit_options.as_json(limits)
    api = AdminApi.of(data_directory)
    record |= _places(api, options)
    _print_secret(api.create(KEY, record), as_json)


@keys_commands.command(
    "list",
    short_help="List keys.",
    epilog=examples("meshgate keys list", "meshgate keys list --team search --json"),
)
@organization_option
@click.option("--team", metavar="NAME", help="By name or id.")
@click.option("--user", metavar="NAME", help="By name or id.")
@click.option("--name", help="How names begin.")
@click.option("--revoked", is_flag=True, help="Those that were revoked, too.")
@asking
def list_command(data_directory: DataDirectory, as_json: bool, **options: Any) -> None:
    """List keys: those of the configuration first."""
    api = AdminApi.of(data_directory)
    filters = _places(api, options) | {"name_prefix": options["name"]}
    if options["revoked"]:
        filters["show_revoked"] = "true"
    print_records(api.list(KEY, filters), _COLUMNS, as_json, "no keys")


@keys_commands.command("get", short_help="Show a key.", epilog=examples("meshgate keys get ci"))
@click.argument("key")
@asking
def get_command(data_directory: DataDirectory, as_json: bool, key: str) -> None:
    """Show what a key is and may do; not its secret, which nobody can."""
    api = AdminApi.of(data_directory)
    print_record(api.get(KEY, api.id_of(KEY, key)), as_json)


@keys_commands.command(
    "update",
    short_help="Change what a key may do.",
    epilog=examples(
        "meshgate keys update ci --rpm 100",
        "meshgate keys update ci --clear limits --budget 20 --per day",
        "meshgate keys update ci --clear expiry",
    ),
)
@click.argument("key")
@click.option("--name", help="What people shall call it.")
@_permitting
@clear_option("models", "networks", "roles", "tags", "limits", "expiry")
@asking
def update_command(data_directory: DataDirectory, as_json: bool, key: str, **options: Any) -> None:
    """Change what a key may do, everywhere within a second.

    Models, networks and roles replace those before; tags and limits are added, or replace those of
    the same name.
    """
    limit_options.limits_in(options)
    api = AdminApi.of(data_directory)
    record = api.get(KEY, api.id_of(KEY, key))
    changes: dict[str, Any] = {
        _FIELDS[name]: _CLEARED[name] for name in options["clear"] if name in _CLEARED
    }
    changes |= _listed(options)
    if options["name"]:
        changes["name"] = options["name"]
    if options["expires_in"] is not None:
        changes["expire_time"] = expire_time(options["expires_in"])
    changes |= changed_parts(record, options, options["clear"])
    print_record(updated(api, KEY, record, changes), as_json)


@keys_commands.command(
    "revoke", short_help="End a key.", epilog=examples("meshgate keys revoke ci")
)
@click.argument("key")
@asking
def revoke_command(data_directory: DataDirectory, as_json: bool, key: str) -> None:
    """End a key, everywhere within a second and for ever."""
    api = AdminApi.of(data_directory)
    record = api.do(KEY, api.id_of(KEY, key), "revoke", {})["key"]
    if as_json:
        print_record(record, as_json)
        return
    click.echo(f"{record['id']} ({record['name']}) is revoked")


@keys_commands.command(
    "rotate",
    short_help="Give a key a new secret.",
    epilog=examples("meshgate keys rotate ci --overlap 1h"),
)
@click.argument("key")
@click.option(
    "--overlap",
    type=DurationType(),
    default="0s",
    show_default=True,
    help="How long the secret before stays good; at most 7d.",
)
@asking
def rotate_command(
    data_directory: DataDirectory, as_json: bool, key: str, overlap: timedelta
) -> None:
    """Give a key a new secret, and print it: this once. Everything else stays as it is."""
    api = AdminApi.of(data_directory)
    body = {"overlap": f"{overlap.total_seconds():.9f}".rstrip("0").rstrip(".") + "s"}
    _print_secret(api.do(KEY, api.id_of(KEY, key), "rotate", body), as_json)


@keys_commands.command(
    "delete", short_help="Forget a key.", epilog=examples("meshgate keys delete ci")
)
@click.argument("key")
@asking
def delete_command(data_directory: DataDirectory, as_json: bool, key: str) -> None:
    """Forget a key, which ends if it has not. A revoked one can still tell what it was."""
    api = AdminApi.of(data_directory)
    key_id = api.id_of(KEY, key)
    api.delete(KEY, key_id)
    click.echo(json.dumps({"id": key_id}) if as_json else f"{key_id} is deleted")


def _listed(options: Mapping[str, Any]) -> dict[str, Any]:
    return {field: list(options[name]) for name, field in _LISTS.items() if options[name]}


def _places(api: AdminApi, options: Mapping[str, Any]) -> dict[str, str]:
    """The ids of the organization, team and user that options name."""
    organization_id = organization_of(api, ORGANIZATION, options["organization"])
    places = {"organization_id": organization_id} if organization_id else {}
    for kind in (TEAM, USER):
        name = options[kind.noun]
        if name:
            places[f"{kind.noun}_id"] = api.id_of(kind, name, organization_id)
    return places


def _print_secret(answer: Record, as_json: bool) -> None:
    """A key with its secret, and a word of warning where people see it."""
    key, secret = dict(answer["key"]), answer.get("secret", "")
    record = {"id": key.pop("id"), "key": secret, "name": key.pop("name"), **key}
    print_record(record, as_json)
    click.echo("The key is shown this once: keep it now.", err=True)
