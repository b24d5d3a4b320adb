"""What keeps the house one that a newcomer likes to live in."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "services").rglob("*.py"))
JUNK_DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "logic"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_stays_small_and_is_named_by_its_noun(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 400
    assert module.stem not in JUNK_DRAWERS
    assert module.parent.name not in JUNK_DRAWERS


def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)

    assert targets is not None
    for target in targets[1].split():
        assert re.search(rf"^{target}:.*## \w", makefile, re.MULTILINE), target


def test_dependencies_are_no_older_than_what_generated_code_demands() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    generated = (ROOT / "gen/meshgate/v1/auth_service_pb2_grpc.py").read_text()
    messages = (ROOT / "gen/meshgate/v1/auth_service_pb2.py").read_text()

    grpcio = re.search(r"GRPC_GENERATED_VERSION = '([\d.]+)'", generated)
    protobuf = re.search(r"# Protobuf Python Version: ([\d.]+)", messages)

    assert grpcio is not None
    assert protobuf is not None
    assert f'"grpcio>={grpcio[1]}"' in project
    assert f'"protobuf>={protobuf[1]}"' in project
