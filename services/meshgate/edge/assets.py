"""The files of `envoy/`: in a wheel they lie in this package, in a checkout at its root."""

from pathlib import Path

TEMPLATE = "bootstrap.yaml.template"
LUA = "errors.lua"
FIELDS_LUA = "fields.lua"
DESCRIPTOR = "meshgate.pb"

_PACKAGE = Path(__file__).resolve().parent
_PLACES = (_PACKAGE / "envoy", _PACKAGE.parents[2] / "envoy")


class AssetsMissingError(RuntimeError):
    """The installation is broken: Envoy's files did not come with it."""


def directory() -> Path:
    """Where Envoy's files lie.

    Raises:
        AssetsMissingError: They lie nowhere.
    """
    for place in _PLACES:
        if all((place / name).is_file() for name in (TEMPLATE, LUA, FIELDS_LUA, DESCRIPTOR)):
            return place
    tried = " and ".join(str(place) for place in _PLACES)
    raise AssetsMissingError(f"Envoy's files are missing from {tried}; install meshgate again")


def template() -> str:
    """The bootstrap, with its placeholders.

    Raises:
        AssetsMissingError: Envoy's files lie nowhere.
    """
    return (directory() / TEMPLATE).read_text(encoding="utf-8")
