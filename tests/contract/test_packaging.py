"""One namespace from two roots: the wheel and the editable install must both hold all of it."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE_PACKAGES = sysconfig.get_paths()["purelib"]

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
sys.path[:0] = {paths!r}
import meshgate
names = [m.name for m in pkgutil.walk_packages(meshgate.__path__, "meshgate.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
import meshgate.v1.gateway_service_pb2_grpc as generated
from meshgate.edge import assets
print(generated.__file__, assets.directory(), len(names), sep="\\n")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--quiet", "--disable-pip-version-check", "-w", str(directory), str(ROOT)],
        check=True,
    )
    return next(directory.glob("*.whl"))


def imported(*options: str, paths: list[str], cwd: Path) -> list[str]:
    """Where things were found by a new process that imports every module."""
    code = IMPORT_EVERYTHING.format(paths=paths)
    done = subprocess.run(
        [sys.executable, *options, "-c", code], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_every_module_is_imported_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    unpacked = str(tmp_path / "unpacked")

    # -S: the editable install of this checkout must not help.
    generated, assets, count = imported("-S", "-P", paths=[unpacked, SITE_PACKAGES], cwd=tmp_path)

    assert generated.startswith(unpacked)
    assert assets.startswith(unpacked)
    assert int(count) > 50


def test_every_module_is_imported_from_the_editable_install(tmp_path: Path) -> None:
    generated, assets, count = imported("-P", paths=[], cwd=tmp_path)

    assert generated.startswith(str(ROOT / "gen"))
    assert assets == str(ROOT / "envoy")
    assert int(count) > 50


def test_the_files_of_envoy_travel_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    for name in ("bootstrap.yaml.template", "errors.lua", "fields.lua", "meshgate.pb"):
        assert f"meshgate/edge/envoy/{name}" in names


def test_the_encodings_travel_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    for name in ("cl100k_base.tiktoken", "o200k_base.tiktoken", "NOTICE.md"):
        assert f"meshgate/tokens/encodings/{name}" in names


def test_the_namespace_has_no_init() -> None:
    assert not (ROOT / "services/meshgate/__init__.py").exists()
    assert not list((ROOT / "gen/meshgate").rglob("__init__.py"))
