"""From a file to a snapshot, or to everything that is wrong with it."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from meshgate.config.complaints import complaints
from meshgate.config.composition import Composition, Files, compose
from meshgate.config.contradictions import differing_targets, doubled_limits
from meshgate.config.preparation import prepare
from meshgate.config.problems import ConfigurationError, Problem
from meshgate.config.references import unknown_names, unresolved_secrets
from meshgate.config.schema import Configuration
from meshgate.config.secrets import SecretSource
from meshgate.config.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Loading:
    """What came of loading: a snapshot or problems, and what was read for it."""

    outcome: Snapshot | ConfigurationError
    files: Files


def load(path: Path) -> Snapshot:
    """The snapshot of a file. Reads no secret.

    Raises:
        ConfigurationError: Something is wrong with it; the error tells all of it.
    """
    outcome = load_files(path).outcome
    if isinstance(outcome, ConfigurationError):
        raise outcome
    return outcome


def load_files(path: Path) -> Loading:
    """As `load`, but raises nothing and tells which files were read."""
    composition = compose(path)
    configuration, problems = _validated(composition)
    if configuration is None or problems:
        return Loading(ConfigurationError(problems), composition.files)
    return Loading(prepare(configuration), composition.files)


def check(path: Path, secrets: SecretSource | None = None) -> list[Problem]:
    """All that is wrong with a file, in the order of its lines.

    With `secrets`, also the references that do not resolve on this machine and the keys that are
    the same. Raises nothing.
    """
    composition = compose(path)
    _, problems = _validated(composition)
    if secrets is not None and composition.value is not None:
        problems += unresolved_secrets(composition, secrets)
    return sorted(set(problems))


def _validated(composition: Composition) -> tuple[Configuration | None, list[Problem]]:
    problems = list(composition.problems)
    if composition.value is None:
        return None, problems
    problems += unknown_names(composition)
    problems += doubled_limits(composition)
    problems += differing_targets(composition)
    try:
        # JSON, because only there does strict mode take a list where the schema has a tuple.
        return Configuration.model_validate_json(json.dumps(composition.value)), problems
    except ValidationError as error:
        return None, problems + complaints(error, composition)
