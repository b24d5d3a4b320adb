"""`meshgate usage records`: single requests, as they are in the ledger."""

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import click

from meshgate.cli.admin_api import AdminApi
from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.examples import examples
from meshgate.cli.record_options import asking
from meshgate.cli.table import table
from meshgate.cli.usage_api import Message, UsageApi
from meshgate.cli.usage_cells import csv_line, dollars, moment, right, shown_dollars
from meshgate.cli.usage_options import filter_of, filter_options

_PAGE_SIZE = 1_000
_USUAL = 20
_TEXTS = ("start_time", "end_time", "request_id", "hold_id", "principal_id", "organization_id")
_MORE_TEXTS = ("team_id", "user_id", "key_id", "model", "dialect", "outcome", "cache")
_COLUMNS = (
    *_TEXTS,
    *_MORE_TEXTS,
    *("targets", "input_tokens", "output_tokens", "cost_usd", "unpriced_charges"),
)


@click.command(
    "records",
    short_help="List single requests.",
    epilog=examples(
        "meshgate usage records --last 5",
        "meshgate usage records --request 8d2f0a7e",
        "meshgate usage records --team search --since 7d --csv > requests.csv",
    ),
)
@filter_options
@click.option("--request", "request_id", metavar="ID", help="Only the one that was called so.")
@click.option(
    "--last",
    type=click.IntRange(min=1),
    help=f"Only so many.  [default: {_USUAL}; all with --csv or --json]",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print it as CSV.")
@asking
def records_command(
    *, data_directory: DataDirectory, as_json: bool, as_csv: bool, **options: Any
) -> None:
    """List single requests, the newest first: of the last 30 days, if nothing else is said."""
    last = options["last"] or (None if as_csv or as_json else _USUAL)
    question = filter_of(AdminApi.of(data_directory), options)
    question["page_size"] = min(last or _PAGE_SIZE, _PAGE_SIZE)
    if options["request_id"]:
        question["request_id"] = options["request_id"]
    pages = UsageApi.of(data_directory).records(question)
    every = itertools.chain.from_iterable(page["records"] for page in pages)
    records = itertools.islice(every, last)
    if as_csv:
        sys.stdout.write(csv_line(_COLUMNS))
        for record in records:
            sys.stdout.write(csv_line(_cells(record)))
    elif as_json:
        click.echo(json.dumps(list(records), indent=2))
    else:
        _print_table(records, options["time_zone"])


def _print_table(records: Iterator[Message], zone: ZoneInfo) -> None:
    some = list(records)
    if not some:
        click.echo("no requests", err=True)
        return
    heads = ("TIME", "REQUEST", "KEY", "MODEL", "ANSWERED BY", "OUTCOME")
    texts = zip(heads, *(_labels(record, zone) for record in some), strict=True)
    numbers = zip(("TOKENS IN", "TOKENS OUT", "COST USD"), *map(_numbers, some), strict=True)
    lines = list(zip(*texts, *right(numbers), strict=True))
    click.echo(table(lines[0], lines[1:]))


def _labels(record: Message, zone: ZoneInfo) -> list[str]:
    when = moment(record["start_time"], zone).strftime("%Y-%m-%d %H:%M:%S")
    return [
        when,
        record["request_id"],
        record["key_id"] or record["principal_id"],
        record["model"],
        _targets(record) or ("the cache" if _is_hit(record) else "-"),
        _plain(record["outcome"]),
    ]


def _numbers(record: Message) -> list[str]:
    cost = "unpriced" if _unpriced(record) else shown_dollars(_cost(record))
    return [f"{_tokens(record, 'input_tokens'):,}", f"{_tokens(record, 'output_tokens'):,}", cost]


def _cells(record: Message) -> list[Any]:
    return [
        *(record.get(name) or "" for name in _TEXTS),
        *(_plain(record.get(name) or "") for name in _MORE_TEXTS),
        _targets(record),
        _tokens(record, "input_tokens"),
        _tokens(record, "output_tokens"),
        dollars(_cost(record)),
        _unpriced(record),
    ]


def _plain(text: str) -> str:
    """The name of a value as people say it: REQUEST_OUTCOME_ANSWERED."""
    for prefix in ("REQUEST_OUTCOME_", "CACHE_OUTCOME_"):
        if text.startswith(prefix):
            return text.removeprefix(prefix).lower().replace("unspecified", "")
    return text


def _is_hit(record: Message) -> bool:
    return bool(record.get("cache") == "CACHE_OUTCOME_HIT")


def _targets(record: Message) -> str:
    return " ".join(f"{charge['provider']}/{charge['model']}" for charge in record["charges"])


def _tokens(record: Message, name: str) -> int:
    return sum((charge.get("usage") or {}).get(name, 0) for charge in record["charges"])


def _cost(record: Message) -> int:
    return sum(int(charge.get("cost_nanos") or 0) for charge in record["charges"])


def _unpriced(record: Message) -> int:
    return sum(charge.get("cost_nanos") is None for charge in record["charges"])
