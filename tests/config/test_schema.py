import subprocess
import sys
from pathlib import Path
from typing import get_args

from meshgate.config.loading import check
from meshgate.config.reference import markdown
from meshgate.config.schema import json_schema
from meshgate.config.snapshot import FailureKind
from meshgate.v1 import provider_service_pb2 as pb

REFERENCE = Path(__file__).parents[2] / "docs" / "configuration.md"


def objects(schema):
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema
        for inner in schema.values():
            yield from objects(inner)


def test_every_field_is_described():
    for part in objects(json_schema()):
        assert part["description"]
        for name, field in part["properties"].items():
            assert field.get("description"), f"{part['title']}.{name}"


def test_nothing_unknown_is_taken_anywhere():
    assert all(part["additionalProperties"] is False for part in objects(json_schema()))


def test_the_words_for_failures_are_those_of_the_contract():
    prefix = "FAILURE_KIND_"
    kinds = {name.removeprefix(prefix).lower() for name in pb.FailureKind.keys()}  # noqa: SIM118

    assert set(get_args(FailureKind)) == kinds - {"unspecified", "cancelled"}


def test_the_reference_page_is_fresh():
    assert REFERENCE.read_text() == markdown(), "run python -m meshgate.config reference"


def test_the_example_of_the_reference_page_is_good(directory):
    example = markdown().split("```yaml\n")[1].split("```")[0]

    assert check(directory.write(example)) == []


def test_the_module_prints_the_page():
    command = [sys.executable, "-m", "meshgate.config"]

    page = subprocess.run([*command, "reference"], capture_output=True, check=True)
    usage = subprocess.run(command, capture_output=True, check=False)

    assert page.stdout.decode() == markdown()
    assert usage.returncode == 2
