"""The options that say which usage is meant, and what the API is asked for them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from meshgate.cli.admin_api import KEY, ORGANIZATION, TEAM, USER, AdminApi
from meshgate.cli.record_options import PairType, organization_of, organization_option
from meshgate.config import duration

Command = TypeVar("Command", bound=Callable[..., Any])


class ZoneType(click.ParamType[ZoneInfo]):
    """A time zone such as Europe/Berlin."""

    name = "zone"

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> ZoneInfo:
        if isinstance(value, ZoneInfo):
            return value
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise click.BadParameter(
                f"{value!r} is no time zone: use a name such as Europe/Berlin"
            ) from None


class MomentType(click.ParamType[str]):
    """So long ago, a day, or a moment: 7d, 2026-11-01, 2026-11-01T12:00."""

    name = "time"

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> str:
        text = str(value)
        if _moment(text, UTC) is None:
            raise click.BadParameter(
                f"{text!r}: use a duration such as 7d, a day such as 2026-11-01, or a moment such "
                "as 2026-11-01T12:00"
            )
        return text


def filter_options(command: Command) -> Command:
    """The options that say which usage is meant."""
    for option in (
        click.option(
            "--time-zone",
            type=ZoneType(),
            default="UTC",
            show_default=True,
            help="Where days begin, as Europe/Berlin.",
        ),
        click.option("--until", type=MomentType(), help="Up to then.  [default: now]"),
        click.option(
            "--since",
            type=MomentType(),
            help="From then on: 7d (ago), 2026-11-01, 2026-11-01T12:00.  [default: 30d]",
        ),
        click.option(
            "--tag", "tags", type=PairType(), multiple=True, help="With this tag of the key."
        ),
        click.option("--target", metavar="PROVIDER/MODEL", help="Answered by this one."),
        click.option("--model", metavar="MODEL", help="For this one, by its public name."),
        click.option("--key", metavar="NAME", help="By name or id."),
        click.option("--user", metavar="NAME", help="By name or id."),
        click.option("--team", metavar="NAME", help="By name or id."),
        organization_option,
    ):
        command = option(command)
    return command


def filter_of(api: AdminApi, options: Mapping[str, Any]) -> dict[str, Any]:
    """The filter, as parameters of the API."""
    organization_id = organization_of(api, ORGANIZATION, options["organization"])
    found: dict[str, Any] = {"organization_id": organization_id}
    for kind in (TEAM, USER, KEY):
        if name := options[kind.noun]:
            found[f"{kind.noun}_id"] = api.id_of(kind, name, organization_id)
    found |= {"model": options["model"], "target": options["target"]}
    found["tags"] = [f"{name}={value}" for name, value in options["tags"]]
    found["start_time"] = _time(options["since"] or "30d", options["time_zone"])
    found["end_time"] = _time(options["until"] or "0s", options["time_zone"])
    return {f"filter.{name}": value for name, value in found.items() if value}


def _time(text: str, zone: ZoneInfo) -> str:
    moment = _moment(text, zone)
    assert moment is not None  # noqa: S101 - click has read it
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _moment(text: str, zone: Any) -> datetime | None:
    """The moment that a text says, by the clocks of a zone; None if it says none."""
    try:
        return datetime.now(UTC) - timedelta(seconds=duration.seconds_of(text))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
