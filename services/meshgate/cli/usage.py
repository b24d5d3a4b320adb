"""`meshgate usage`: what was used and what it cost, from the ledger."""

import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import click

from meshgate.cli import usage_audit, usage_records
from meshgate.cli.admin_api import AdminApi
from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.examples import examples
from meshgate.cli.record_options import asking
from meshgate.cli.table import table
from meshgate.cli.usage_api import Message, UsageApi
from meshgate.cli.usage_cells import (
    COUNTS,
    counts_of,
    csv_line,
    dollars,
    moment,
    right,
    shown_dollars,
    shown_time,
)
from meshgate.cli.usage_options import filter_of, filter_options

_PAGE_SIZE = 10_000
_REPORT = "report"
_DIMENSIONS = {
    "organization": "organization_id",
    "team": "team_id",
    "user": "user_id",
    "key": "key_id",
    "model": "model",
    "target": "target",
}
_BUCKETS = ("hour", "day", "week", "month")
_ORDERS = ("cost", "tokens", "requests", "saved", "name")
_HEADS = {
    "requests": "REQUESTS",
    "cache_hits": "FROM CACHE",
    "input_tokens": "TOKENS IN",
    "output_tokens": "TOKENS OUT",
    "cost_nanos": "COST USD",
    "saved_cost_nanos": "SAVED USD",
}
_NONE = "-"


class _Commands(click.Group):
    """What is no name of a command belongs to `report`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or not (args[0] in self.commands or args[0] in {"-h", "--help"}):
            args = [_REPORT, *args]
        return super().parse_args(ctx, args)


@click.group(
    "usage",
    cls=_Commands,
    short_help="What was used, and what it cost.",
    epilog=examples(
        "meshgate usage --by team --since 30d",
        "meshgate usage --by model --per day --csv > usage.csv",
        "meshgate usage records --key ci --last 5",
    ),
)
def usage_commands() -> None:
    """What was used and what it cost, from the ledger. Without a command: `report`."""


usage_commands.add_command(usage_records.records_command)
for _command in usage_audit.COMMANDS:
    usage_commands.add_command(_command)


@dataclass(frozen=True)
class _Layout:
    """What a row is told apart by.

    Attributes:
        by: Dimensions, as options name them.
        tags: Names of tags.
        per: How long a stretch of time is; empty for all of it in one.
        zone: Whose clocks tell when it begins.
    """

    by: Sequence[str]
    tags: Sequence[str]
    per: str
    zone: ZoneInfo

    def names(self, row: Message) -> list[str]:
        """What the row is of, without its time."""
        tags: Mapping[str, str] = row.get("tags", {})
        of = [str(row.get(_DIMENSIONS[name], "")) for name in self.by]
        return [*of, *(tags.get(name, "") for name in self.tags)]


@usage_commands.command(
    _REPORT,
    short_help="Sum usage up.",
    epilog=examples(
        "meshgate usage",
        "meshgate usage --by key --top 10",
        "meshgate usage --by team --by-tag project --per month --since 2026-01-01",
        "meshgate usage --by model --per day --time-zone Europe/Berlin --csv",
    ),
)
@click.option(
    "--by", multiple=True, type=click.Choice(list(_DIMENSIONS)), help="A row for each; repeatable."
)
@click.option("--by-tag", "by_tags", metavar="TAG", multiple=True, help="By its values; likewise.")
@click.option("--per", type=click.Choice(_BUCKETS), default=None, help="And by time.")
@click.option(
    "--order", type=click.Choice(_ORDERS), default="cost", show_default=True, help="The most first."
)
@click.option(
    "--top", type=click.IntRange(1, _PAGE_SIZE), help="Only so many rows, the first ones."
)
@filter_options
@click.option("--csv", "as_csv", is_flag=True, help="Print it as CSV.")
@asking
def report_command(
    *, data_directory: DataDirectory, as_json: bool, as_csv: bool, **options: Any
) -> None:
    """Sum usage up, by any mix of who, what and when: the last 30 days, if nothing else is said.

    Money is in US dollars, to the last digit. Tokens in are those read, cached ones included.
    """
    layout = _Layout(options["by"], options["by_tags"], options["per"] or "", options["time_zone"])
    question = {
        **filter_of(AdminApi.of(data_directory), options),
        "group_by": [f"USAGE_DIMENSION_{name.upper()}" for name in layout.by],
        "group_by_tags": list(layout.tags),
        "order_by": f"USAGE_ORDER_{options['order'].upper()}",
        "page_size": options["top"] or _PAGE_SIZE,
    }
    if layout.per:
        question["bucket"] = f"TIME_BUCKET_{layout.per.upper()}"
        question["time_zone"] = layout.zone.key
    pages = UsageApi.of(data_directory).sums(question)
    if options["top"]:
        pages = itertools.islice(pages, 1)
    if as_csv:
        _print_csv(pages, layout)
    elif as_json:
        _print_json(pages)
    else:
        _print_table(pages, layout)


def _print_csv(pages: Iterable[Message], layout: _Layout) -> None:
    when = ["start_time"] if layout.per else []
    of = [_DIMENSIONS[name] for name in layout.by] + [f"tag_{name}" for name in layout.tags]
    sys.stdout.write(csv_line([*when, *of, *COUNTS, "cost_usd", "saved_cost_usd"]))
    for row in _rows(pages):
        counts = counts_of(row["sums"])
        begin = [moment(row["start_time"], layout.zone).isoformat()] if layout.per else []
        # Numbers, which no spreadsheet takes for a formula.
        money = [_Number(dollars(counts[name])) for name in ("cost_nanos", "saved_cost_nanos")]
        sys.stdout.write(csv_line([*begin, *layout.names(row), *counts.values(), *money]))


class _Number:
    """The text of a number, which may begin with a minus."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def _print_json(pages: Iterable[Message]) -> None:
    first, pages = _first_of(pages)
    report = {
        "rows": list(_rows(pages)),
        "total": first.get("total", {}),
        "ledger_time": first.get("ledger_time"),
    }
    click.echo(json.dumps(report, indent=2))


def _print_table(pages: Iterable[Message], layout: _Layout) -> None:
    first, pages = _first_of(pages)
    total = counts_of(first.get("total") or {})
    rows = list(_rows(pages))
    if not rows:
        click.echo("nothing was used", err=True)
        return
    labels = [_labels(row, layout) for row in rows]
    counts = [counts_of(row["sums"]) for row in rows]
    has_total = bool(labels[0])
    if has_total:
        # Also where only the top is shown: it is the total of everything.
        labels.append(["TOTAL", *[""] * (len(labels[0]) - 1)])
        counts.append(total)
    columns = [
        [head, *(_number(name, row[name]) for row in counts)] for name, head in _HEADS.items()
    ]
    heads = [*(["TIME"] if layout.per else []), *(name.upper() for name in layout.by), *layout.tags]
    names = [list(column) for column in zip(heads, *labels, strict=True)] if heads else []
    lines = list(zip(*names, *right(columns), strict=True))
    click.echo(table(lines[0], lines[1:]))
    for note in _notes(total, first.get("ledger_time")):
        click.echo(note, err=True)


def _labels(row: Message, layout: _Layout) -> list[str]:
    when = [shown_time(row["start_time"], layout.per, layout.zone)] if layout.per else []
    return [*when, *(name or _NONE for name in layout.names(row))]


def _number(name: str, amount: int) -> str:
    return shown_dollars(amount) if name.endswith("_nanos") else f"{amount:,}"


def _notes(total: Mapping[str, int], ledger_time: str | None) -> Iterator[str]:
    if unpriced := total["unpriced_charges"]:
        yield f"note: {unpriced:,} charges have no price; what they cost is in no sum"
    if estimated := total["estimated_charges"]:
        yield f"note: the usage of {estimated:,} charges was counted by the gateway"
    if not ledger_time:
        yield "note: nobody can tell how complete the ledger is at the moment"


def _rows(pages: Iterable[Message]) -> Iterator[Message]:
    return itertools.chain.from_iterable(page["rows"] for page in pages)


def _first_of(pages: Iterable[Message]) -> tuple[Message, Iterable[Message]]:
    """The first page, and all of them."""
    rest = iter(pages)
    first = next(rest)
    return first, itertools.chain([first], rest)
