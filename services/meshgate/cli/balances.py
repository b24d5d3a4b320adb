"""`meshgate balances`: what was paid in advance."""

import json
from collections.abc import Sequence
from uuid import uuid4

import click

from meshgate.cli.admin_api import BALANCE, KEY, ORGANIZATION, TEAM, USER, AdminApi, Record
from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.examples import examples
from meshgate.cli.group_commands import id_of
from meshgate.cli.limit_options import UsdType
from meshgate.cli.record_options import asking, organization_of, organization_option
from meshgate.cli.table import table
from meshgate.cli.usage_api import UsageApi
from meshgate.pricing.money import usd_of_nanos

_KINDS = {kind.noun: kind for kind in (KEY, USER, TEAM, ORGANIZATION)}
_ENFORCEMENTS = ("normal", "strict")

_owner_kind = click.argument("kind", type=click.Choice(list(_KINDS)))
_owner = click.argument("owner")


@click.group("balances", short_help="Top up and show prepaid balances.")
def balances_commands() -> None:
    """What was paid in advance for keys, users, teams and organizations: through the admin API.

    Whoever has a balance may use as much as its top-ups come to. KIND is key, user, team or
    organization, and OWNER the id of one or its name.
    """


@balances_commands.command(
    "top-up",
    short_help="Add to a balance, or take from it.",
    # So that an amount may begin with a minus.
    context_settings={"ignore_unknown_options": True},
    epilog=examples(
        'meshgate balances top-up team search 100 --note "invoice 7" --id invoice-7',
        'meshgate balances top-up team search -20 --note "typed wrongly"',
    ),
)
@_owner_kind
@_owner
@click.argument("usd", type=UsdType())
@click.option("--note", default="", help="What it is for.")
@click.option(
    "--id",
    "top_up_id",
    help="Names the top-up: given again it is not made again. A new one if it is left out.",
)
@click.option(
    "--enforce",
    type=click.Choice(_ENFORCEMENTS),
    help="What happens at its end; stays as it is if it is left out, normal at first.",
)
@asking
def top_up_command(
    data_directory: DataDirectory, as_json: bool, kind: str, owner: str, usd: int, **options: str
) -> None:
    """Add dollars to a balance, or take them away; the first time it makes the balance."""
    top_up_id = options["top_up_id"] or f"cli-{uuid4()}"
    body: Record = {"top_up_id": top_up_id, "amount_nanos": str(usd), "note": options["note"]}
    if options["enforce"]:
        body["enforcement"] = f"ENFORCEMENT_{options['enforce'].upper()}"
    api = AdminApi.of(data_directory)
    answer = api.do(BALANCE, _subject(api, kind, owner), "topUp", body)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    balance = answer["balance"]
    click.echo(
        f"{balance['subject']} has {_usd(balance)} USD topped up"
        f" (top-up {top_up_id} of {usd_of_nanos(usd)} USD)"
    )


@balances_commands.command(
    "show",
    short_help="Show one balance and its top-ups.",
    epilog=examples("meshgate balances show team search"),
)
@_owner_kind
@_owner
@asking
def show_command(data_directory: DataDirectory, as_json: bool, kind: str, owner: str) -> None:
    """Show what the top-ups come to, what is spent and left of it, and each top-up, the newest first.

    Spent is what the ledger has, since the first top-up; what is still on its way there is not in it.
    """
    api = AdminApi.of(data_directory)
    subject = _subject(api, kind, owner)
    balance, top_ups = api.get(BALANCE, subject), api.top_ups(subject)
    spent = _spent(UsageApi.of(data_directory), balance)
    if as_json:
        told = None if spent is None else str(spent)
        found = {"balance": balance, "spent_nanos": told, "top_ups": top_ups}
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{subject}  {_usd(balance)} USD topped up{_left(balance, spent)}")
    click.echo(f"enforcement: {_enforcement(balance)}\n")
    rows = [
        (
            top_up["create_time"],
            _usd(top_up),
            usd_of_nanos(int(top_up["balance_nanos"])),
            top_up["id"],
            top_up["creator_id"],
            top_up["note"],
        )
        for top_up in top_ups
    ]
    click.echo(table(("TIME", "USD", "THEN", "ID", "BY", "NOTE"), rows))


@balances_commands.command(
    "list", short_help="List balances.", epilog=examples("meshgate balances list")
)
@organization_option
@click.option("--team", metavar="NAME", help="By name or id: its own, and those of its keys.")
@asking
def list_command(
    data_directory: DataDirectory, as_json: bool, organization: str | None, team: str | None
) -> None:
    """List balances by whose they are."""
    api = AdminApi.of(data_directory)
    organization_id = organization_of(api, ORGANIZATION, organization)
    team_id = api.id_of(TEAM, team, organization_id) if team else ""
    balances = api.list(BALANCE, {"organization_id": organization_id, "team_id": team_id})
    if as_json:
        click.echo(json.dumps(balances, indent=2))
    elif not balances:
        click.echo("no balances", err=True)
    else:
        click.echo(_listed(balances))


def _spent(api: UsageApi, balance: Record) -> int | None:
    """In nano-dollars, since the balance is there; None where the ledger does not answer."""
    kind, _, record_id = balance["subject"].partition("/")
    try:
        return api.spent_nanos(kind, record_id, balance["create_time"])
    except click.ClickException as error:
        click.echo(f"what is spent is not known: {error.message}", err=True)
        return None


def _left(balance: Record, spent: int | None) -> str:
    if spent is None:
        return ""
    left = int(balance["amount_nanos"]) - spent
    return f"  {usd_of_nanos(spent)} USD spent  {usd_of_nanos(left)} USD left"


def _subject(api: AdminApi, kind: str, owner: str) -> str:
    """Whose balance is meant, as the API names it."""
    return f"{kind}/{id_of(api, _KINDS[kind], owner)}"


def _listed(balances: Sequence[Record]) -> str:
    heads = ("SUBJECT", "ORGANIZATION", "USD", "ENFORCE", "LAST TOP-UP")
    rows = [
        (
            balance["subject"],
            balance["organization_id"],
            _usd(balance),
            _enforcement(balance),
            balance["update_time"],
        )
        for balance in balances
    ]
    return table(heads, rows)


def _usd(record: Record) -> str:
    return usd_of_nanos(int(record["amount_nanos"]))


def _enforcement(balance: Record) -> str:
    return str(balance["enforcement"]).removeprefix("ENFORCEMENT_").lower()
