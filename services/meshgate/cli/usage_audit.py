"""`meshgate usage verify`, `reconcile`, `rebuild-counters` and `erase`: that the books are right."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from meshgate.cli.admin_api import ORGANIZATION, USER, AdminApi
from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.examples import examples
from meshgate.cli.record_options import asking, organization_of, organization_option
from meshgate.cli.table import table
from meshgate.cli.usage_api import Message, UsageApi

_FAULTY = 1
_DIFFERENCES = {
    "SUBJECT": "subject",
    "LIMIT": "limit",
    "SINCE": "window_start_time",
    "COUNTED": "counted",
    "BOOKED": "booked",
    "WHAT": "message",
}


@click.command(
    "verify",
    short_help="Look for tampering.",
    epilog=examples(
        "meshgate usage verify",
        "meshgate usage verify --heads heads.json",
        "meshgate usage verify --against heads.json",
    ),
)
@click.option(
    "--heads",
    "heads_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the last link of each chain there, to be kept elsewhere.",
)
@click.option(
    "--against",
    "against_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Compare with links that were kept.",
)
@asking
def verify_command(
    *,
    data_directory: DataDirectory,
    as_json: bool,
    heads_file: Path | None,
    against_file: Path | None,
) -> None:
    """Go through the whole ledger: is every entry what it was, and is none missing or put in?

    The exit status is 1 if something is wrong.
    """
    kept = _read_links(against_file) if against_file else ()
    entries, erased = 0, 0
    faults: list[Message] = []
    heads: list[Message] = []
    for page in UsageApi.of(data_directory).verified(kept):
        entries += int(page.get("entry_count", 0))
        erased += int(page.get("erased_count", 0))
        faults += page["faults"]
        heads += page["heads"]
        if not as_json:
            click.echo(f"looked at {entries:,} entries", err=True)
    if heads_file:
        heads_file.write_text(json.dumps({"heads": heads}, indent=2) + "\n", encoding="utf-8")
    if as_json:
        found = {"entry_count": entries, "erased_count": erased, "faults": faults, "heads": heads}
        click.echo(json.dumps(found, indent=2))
    else:
        for fault in faults:
            click.echo(f"shard {fault['shard']}, entry {fault['sequence']}: {fault['message']}")
        verdict = f"{len(faults)} faults" if faults else "all is as it was written"
        click.echo(f"{entries:,} entries, {erased:,} of them erased on demand: {verdict}")
    if faults:
        raise SystemExit(_FAULTY)


@click.command(
    "reconcile",
    short_help="Compare the limits' counters with the books.",
    epilog=examples("meshgate usage reconcile", "meshgate usage reconcile --organization acme"),
)
@organization_option
@asking
def reconcile_command(
    *, data_directory: DataDirectory, as_json: bool, organization: str | None
) -> None:
    """Compare what the limits' counters hold with what the ledger says; change nothing.

    The exit status is 1 if something differs.
    """
    organization_id = organization_of(AdminApi.of(data_directory), ORGANIZATION, organization)
    counters = pending = 0
    differences: list[Message] = []
    for page in UsageApi.of(data_directory).reconciled(organization_id):
        counters += int(page.get("counter_count", 0))
        pending = max(pending, int(page.get("pending_count", 0)))
        differences += page["differences"]
    if as_json:
        found = {"counter_count": counters, "pending_count": pending, "differences": differences}
        click.echo(json.dumps(found, indent=2))
    else:
        _print_differences(differences)
        verdict = f"{len(differences)} differ" if differences else "all hold what the books say"
        click.echo(f"{counters:,} counters: {verdict}")
    if differences:
        raise SystemExit(_FAULTY)


@click.command(
    "rebuild-counters",
    short_help="Make the limits' counters again from the ledger.",
    epilog=examples("meshgate usage rebuild-counters"),
)
@organization_option
@asking
def rebuild_counters_command(
    *, data_directory: DataDirectory, as_json: bool, organization: str | None
) -> None:
    """Make the limits' counters again from the ledger, as after a loss of the store.

    None is ever lowered. May be done again.
    """
    organization_id = organization_of(AdminApi.of(data_directory), ORGANIZATION, organization)
    done = UsageApi.of(data_directory).rebuild_counters(organization_id)
    if as_json:
        click.echo(json.dumps(done, indent=2))
        return
    counters, raised = int(done.get("counter_count", 0)), int(done["raised_count"])
    click.echo(f"{counters:,} counters looked at, {raised:,} of them raised")


@click.command(
    "erase",
    short_help="Take a user or an organization out of the ledger.",
    epilog=examples("meshgate usage erase --user ann", "meshgate usage erase --organization acme"),
)
@organization_option
@click.option("--user", metavar="NAME", help="By name or id.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asking
def erase_command(
    *,
    data_directory: DataDirectory,
    as_json: bool,
    organization: str | None,
    user: str | None,
    yes: bool,
) -> None:
    """Take all that tells of a user out of the ledger, or all of an organization, for ever.

    What a user's requests cost stays in the sums of the organization.
    """
    if bool(user) == bool(organization):
        raise click.UsageError("say whose usage to erase: either --user or --organization")
    api = AdminApi.of(data_directory)
    subject = (
        {"user_id": api.id_of(USER, user)}
        if user
        else {"organization_id": organization_of(api, ORGANIZATION, organization)}
    )
    [erased] = subject.values()
    if not yes:
        click.confirm(f"Erase all usage of {erased}? It cannot be undone.", abort=True, err=True)
    done = UsageApi.of(data_directory).erase(subject)
    if as_json:
        click.echo(json.dumps(done, indent=2))
        return
    click.echo(f"{int(done['erased_count']):,} entries of {erased} are erased")


COMMANDS: Sequence[click.Command] = (
    verify_command,
    reconcile_command,
    rebuild_counters_command,
    erase_command,
)


def _print_differences(differences: Sequence[Mapping[str, Any]]) -> None:
    if differences:
        rows = [
            [str(difference.get(name) or "-") for name in _DIFFERENCES.values()]
            for difference in differences
        ]
        click.echo(table(tuple(_DIFFERENCES), rows))


def _read_links(file: Path) -> Sequence[str]:
    """Heads as links that the API compares.

    Raises:
        click.ClickException: The file has none.
    """
    try:
        heads = json.loads(file.read_text(encoding="utf-8"))["heads"]
        return [
            f"{int(head['shard'])}:{int(head['sequence'])}:{bytes.fromhex(head['chain']).hex()}"
            for head in heads
        ]
    except (ValueError, KeyError, TypeError):
        raise click.ClickException(
            f"{file} holds no heads: give a file that `meshgate usage verify --heads` wrote"
        ) from None
