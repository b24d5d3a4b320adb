"""What commands about records have in common: options, and how records are printed."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from meshgate.cli import limit_options
from meshgate.cli.admin_api import AdminApi, Kind, Record
from meshgate.cli.data_directory import data_directory_option
from meshgate.cli.table import table
from meshgate.config import duration

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
organization_option = click.option("--organization", metavar="NAME", help="By name or id.")


class DurationType(click.ParamType[timedelta]):
    """A time such as 30d."""

    name = "duration"

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return timedelta(seconds=duration.seconds_of(value))
        except (ValueError, OverflowError):
            raise click.BadParameter(f"{value!r}: use a duration such as 2h or 30d") from None


class PairType(click.ParamType[tuple[str, str]]):
    """A name and a value: `env=test`."""

    name = "name=value"

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = value.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{value!r}: write it NAME=VALUE")
        return name, text


tag_option = click.option(
    "--tag", "tags", type=PairType(), multiple=True, help="For reports; may be repeated."
)


def asking(command: Command) -> Command:
    """The options of every command: where the gateway is asked from, and how it answers."""
    return data_directory_option(json_option(command))


def clear_option(*names: str) -> Callable[[Command], Command]:
    """The option of updates that empties fields."""
    return click.option(
        "--clear",
        type=click.Choice(names),
        multiple=True,
        help="Empty this first; may be repeated.",
    )


def expire_time(after: timedelta) -> str:
    """The moment so long from now, as JSON has it.

    Raises:
        click.UsageError: It is after year 9999.
    """
    try:
        return (datetime.now(UTC) + after).isoformat(timespec="seconds").replace("+00:00", "Z")
    except OverflowError:
        raise click.UsageError(
            "--expires-in is too long: leave it out, then it never ends"
        ) from None


def organization_of(api: AdminApi, kind: Kind, name: str | None) -> str:
    """The id of the organization that an option names; empty for none."""
    if not name:
        return ""
    return name if name == "default" else api.id_of(kind, name)


def changed_parts(
    record: Record, options: Mapping[str, Any], clear: Sequence[str]
) -> dict[str, Any]:
    """The tags and limits of a record as options change them: by name, after what is cleared."""
    changes: dict[str, Any] = {}
    tags = {} if "tags" in clear else dict(record["tags"])
    if options["tags"] or "tags" in clear:
        changes["tags"] = tags | dict(options["tags"])
    stated = limit_options.limits_in(options)
    if stated or "limits" in clear:
        kept = [] if "limits" in clear else limit_options.from_json(record["limits"])
        places = {limit_options.place(limit) for limit in stated}
        limits = [limit for limit in kept if limit_options.place(limit) not in places] + [*stated]
        changes["limits"] = limit_options.as_json(limits)
    return changes


def updated(api: AdminApi, kind: Kind, record: Record, changes: Mapping[str, Any]) -> Record:
    """The record with changes, made if nobody else has changed it since it was read.

    Raises:
        click.UsageError: There are none.
    """
    if not changes:
        raise click.UsageError("there is nothing to change: give the options that say what")
    asked = {"id": record["id"], "etag": record["etag"], **changes}
    return api.update(kind, asked, changes)


def print_record(record: Record, as_json: bool) -> None:
    """One record, with the fields that say something."""
    if as_json:
        click.echo(json.dumps(record, indent=2))
        return
    rows = [(name, value_text(name, value)) for name, value in record.items() if value]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        click.echo(f"{name.ljust(width)}  {text}")


def print_records(
    records: Sequence[Record], columns: Mapping[str, str], as_json: bool, nothing: str
) -> None:
    """Many records as a table, with a column for each field by its head."""
    if as_json:
        click.echo(json.dumps(records, indent=2))
    elif not records:
        click.echo(nothing, err=True)
    else:
        rows = [
            [value_text(name, record.get(name, "")) for name in columns.values()]
            for record in records
        ]
        click.echo(table(tuple(columns), rows))


def value_text(name: str, value: Any) -> str:
    """A field as a person reads it."""
    match name, value:
        case "limits", _:
            return _joined(limit_options.written(limit) for limit in limit_options.from_json(value))
        case "model_groups", _:
            return _joined(f"{group['name']}={','.join(group['models'])}" for group in value)
        case "state", str():
            return value.removeprefix("KEY_STATE_").lower()
        case _, dict():
            return _joined(f"{name}={text}" for name, text in value.items())
        case _, list():
            return _joined(value)
        case _:
            return str(value)


def _joined(texts: Iterable[str]) -> str:
    return " ".join(texts)
