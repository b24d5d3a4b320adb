"""The metrics that there are, and the table of them in docs/operations.md."""

import importlib
import re
from pathlib import Path

from prometheus_client import REGISTRY

from meshgate.cli.serving import SERVICES

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
LOADED_LATER = tuple(
    f"meshgate.quota.ledger.{module}" for module in ("opening", "upkeep", "auditing")
)
"""What services load only where it is asked for."""
OURS = re.compile(r"(?:meshgate|gen_ai)_\w+")


def documented() -> dict[str, set[str]]:
    """The labels of each metric, as the table has them."""
    rows = re.findall(
        r"^\| `((?:meshgate|gen_ai)_\w+)(?:\{([\w,]+)\})?` \|", OPERATIONS.read_text(), re.MULTILINE
    )
    return {name: set(labels.split(",")) - {""} for name, labels in rows}


def told() -> set[str]:
    """What every service registers, as Prometheus names it."""
    assemblies = [f"meshgate.{service}.assembly" for service in SERVICES]
    for module in (*assemblies, *LOADED_LATER):
        importlib.import_module(module)
    families = [family for family in REGISTRY.collect() if OURS.fullmatch(family.name)]
    return {
        f"{family.name}_total" if family.type == "counter" else family.name for family in families
    }


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    assert told() == set(documented())


def test_labels_are_documented_as_they_are_told() -> None:
    table = documented()
    for family in REGISTRY.collect():
        for sample in family.samples:
            name = re.sub(r"_(bucket|count|sum|created)$", "", sample.name)
            if name in table:
                assert set(sample.labels) - {"le"} == table[name], sample.name
