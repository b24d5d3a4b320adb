"""Limits as they are typed and shown."""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, DecimalException
from typing import Any, TypeVar

import click
from google.protobuf import json_format

from meshgate.limits.limit import (
    Enforcement,
    ImpossibleLimitError,
    Limit,
    LimitKind,
    WindowMode,
    WindowUnit,
)
from meshgate.limits.messages import UnknownWordError, limit_message, limit_of
from meshgate.pricing.money import NANOS_PER_USD, usd_of_nanos
from meshgate.v1 import limit_pb2

Command = TypeVar("Command", bound=Callable[..., Any])
Word = TypeVar("Word", bound=enum.Enum)

_PER = ("day", "week", "month", "total")
_FORM = "KIND[/WINDOW]=AMOUNT[,enforce=...][,mode=...][,time_zone=...]"


class _LimitType(click.ParamType[Limit]):
    name = "limit"

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> Limit:
        if isinstance(value, Limit):
            return value
        try:
            return parsed(value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r}: {error}") from None


class UsdType(click.ParamType[int]):
    """An amount of money, in nano-dollars."""

    name = "usd"

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> int:
        try:
            return value if isinstance(value, int) else _nanos(value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r}: {error}") from None


def limit_options(command: Command) -> Command:
    """The options that state limits, as `rpm`, `tpm`, `concurrency`, `budget`, `per`, `limits`."""
    counted = click.IntRange(min=0)
    for option in reversed(
        [
            click.option("--rpm", type=counted, help="Requests in a minute."),
            click.option("--tpm", type=counted, help="Tokens in a minute, read and written."),
            click.option("--concurrency", type=counted, help="Requests at the same time."),
            click.option("--budget", type=UsdType(), help="Dollars; needs --per."),
            click.option("--per", type=click.Choice(_PER), help="The time that --budget is for."),
            click.option(
                "--limit",
                "limits",
                type=_LimitType(),
                multiple=True,
                metavar=_FORM,
                help="Any other limit: `input_tokens/hour=50000,enforce=strict`, or"
                " `cost/day=5.00,time_zone=Europe/Berlin` in dollars.",
            ),
        ]
    ):
        command = option(command)
    return command


def limits_in(options: Mapping[str, Any]) -> Sequence[Limit]:
    """The limits that the options state.

    Raises:
        click.UsageError: They contradict each other.
    """
    budget, per = options["budget"], options["per"]
    if (budget is None) != (per is None):
        raise click.UsageError("--budget and --per go together: --budget 50 --per month")
    usual = [
        (LimitKind.REQUESTS, options["rpm"], WindowUnit.MINUTE),
        (LimitKind.TOKENS, options["tpm"], WindowUnit.MINUTE),
        (LimitKind.CONCURRENCY, options["concurrency"], None),
        (LimitKind.COST, budget, WindowUnit(per) if per else None),
    ]
    try:
        stated = [Limit.of(*limit) for limit in usual if limit[1] is not None]
    except ImpossibleLimitError as error:
        raise click.UsageError(str(error)) from None
    stated += options["limits"]
    for limit in stated:
        if sum(place(limit) == place(other) for other in stated) > 1:
            raise click.UsageError(f"{limit.name} is limited twice: leave one out")
    return stated


def place(limit: Limit) -> tuple[str, bool]:
    """What it has for itself: beside a limit that refuses there may be a soft one that warns."""
    return limit.name, limit.enforcement is Enforcement.SOFT


def parsed(text: str) -> Limit:
    """The limit that is written `input_tokens/hour=50000,enforce=strict`.

    Raises:
        ValueError: It is written otherwise, or there can be no such limit. The text is one sentence
            that says what to do.
    """
    what, *more = text.split(",")
    name, equals, amount = what.partition("=")
    if not equals:
        raise ValueError(f"a limit is written {_FORM}")
    kind_name, _, unit_name = name.partition("/")
    kind = _word(LimitKind, kind_name)
    extras = {name: value for name, _, value in (part.partition("=") for part in more)}
    unknown = extras.keys() - {"enforce", "mode", "time_zone"}
    if unknown:
        raise ValueError(f"{min(unknown)!r} is not known: use enforce, mode or time_zone")
    return Limit.of(
        kind,
        _nanos(amount) if kind is LimitKind.COST else _whole(amount),
        _word(WindowUnit, unit_name) if unit_name else None,
        _word(WindowMode, extras["mode"]) if "mode" in extras else None,
        extras.get("time_zone", ""),
        _word(Enforcement, extras.get("enforce", "normal")),
    )


def as_json(limits: Iterable[Limit]) -> list[dict[str, Any]]:
    """The limits as the API has them in JSON."""
    return [
        json_format.MessageToDict(limit_message(limit), preserving_proto_field_name=True)
        | {"amount": str(limit.amount)}
        for limit in limits
    ]


def from_json(records: Iterable[Mapping[str, Any]]) -> list[Limit]:
    """The limits that the API gave in JSON.

    Raises:
        click.ClickException: This version does not know one of them.
    """
    try:
        return [
            limit_of(json_format.ParseDict(dict(record), limit_pb2.Limit())) for record in records
        ]
    except (json_format.ParseError, ImpossibleLimitError, UnknownWordError):
        raise click.ClickException(
            "the gateway has a limit that this version does not know: use a newer meshgate"
        ) from None


def written(limit: Limit) -> str:
    """The limit as it can be typed again."""
    amount = str(limit.amount)
    if limit.kind is LimitKind.COST:
        amount = usd_of_nanos(limit.amount)
    text = f"{limit.name}={amount}"
    if limit.enforcement is not Enforcement.NORMAL:
        text += f",enforce={limit.enforcement.value}"
    if limit.unit and limit.mode is not Limit.of(limit.kind, limit.amount, limit.unit).mode:
        text += f",mode={limit.mode.value}" if limit.mode else ""
    return text if limit.time_zone == "UTC" else f"{text},time_zone={limit.time_zone}"


def _nanos(text: str) -> int:
    try:
        nanos = Decimal(text) * NANOS_PER_USD
        if not nanos.is_finite() or nanos != nanos.to_integral_value():
            raise ValueError  # noqa: TRY301 - told the same way
    except (DecimalException, ValueError):
        raise ValueError("use an amount in dollars such as 5 or 0.25") from None
    return int(nanos)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):  # noqa: PLR2004 - 2^63
        raise ValueError("use a whole number, from 0 on")
    return int(text)


def _word(words: type[Word], text: str) -> Word:
    try:
        return words(text)
    except ValueError:
        known = ", ".join(str(word.value) for word in words)
        raise ValueError(f"{text!r} is not known: use one of {known}") from None
