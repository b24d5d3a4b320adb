"""`meshgate config`: is a configuration file right, and what may stand in one?"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from meshgate.cli.examples import examples
from meshgate.config.loading import check
from meshgate.config.problems import Problem
from meshgate.config.schema import json_schema
from meshgate.config.secrets import LocalSecrets


@click.group(
    "config",
    short_help="Check a configuration file, or print its schema.",
    epilog=examples(
        "meshgate config check meshgate.yaml", "meshgate config schema > meshgate.schema.json"
    ),
)
def config_commands() -> None:
    """Check a configuration file, or print its schema."""


@config_commands.command(
    "check",
    short_help="Tell all that is wrong with a file.",
    epilog=examples(
        "meshgate config check meshgate.yaml", "meshgate config check meshgate.yaml --json"
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--secrets", is_flag=True, help="Also look whether the secrets are on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as a JSON array.")
def check_command(file: Path, secrets: bool, as_json: bool) -> None:
    """Tell all that is wrong with a file, with file, line and field; exit 1 if anything is."""
    problems = check(file, LocalSecrets(os.environ) if secrets else None)
    if as_json:
        click.echo(json.dumps([_record(problem) for problem in problems], indent=2))
    elif problems:
        print_problems(problems)
    else:
        click.echo(f"{file} is right.")
    if problems:
        raise SystemExit(1)


@config_commands.command(
    "schema",
    short_help="Print the JSON Schema of meshgate.yaml.",
    epilog=examples("meshgate config schema > meshgate.schema.json"),
)
def schema_command() -> None:
    """Print the JSON Schema of meshgate.yaml, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))


def print_problems(problems: Sequence[Problem]) -> None:
    """One line for each, on stderr."""
    for problem in problems:
        click.echo(str(problem), err=True)


def _record(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.place.file,
        "line": problem.place.line,
        "field": problem.path,
        "problem": problem.sentence,
    }
