"""Typed reading of environment variables."""

import re
from collections.abc import Mapping

_SECONDS = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class SettingError(Exception):
    """An environment variable is missing or says what cannot be understood."""


class Environment:
    """The environment of a process, read once, at its start.

    Each method reads one variable, or gives the default if it is unset or empty.

    Raises:
        SettingError: Names the variable and says what would be right.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables

    def optional_text(self, name: str) -> str | None:
        return self.variables.get(name) or None

    def text(self, name: str, default: str | None = None) -> str:
        value = self.optional_text(name)
        if value is not None:
            return value
        if default is None:
            raise SettingError(f"{name} is not set")
        return default

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise SettingError(f"{name} is {value!r}; it may be one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int) -> int:
        value = self.optional_text(name)
        if value is None:
            return default
        try:
            return int(value)
        except ValueError:
            raise SettingError(f"{name} is {value!r}; it must be a whole number") from None

    def seconds(self, name: str, default: float) -> float:
        """A duration such as `300ms`, `2s` or `5m`."""
        value = self.optional_text(name)
        if value is None:
            return default
        match = _SECONDS.fullmatch(value)
        if match is None:
            raise SettingError(f"{name} is {value!r}; it must be a duration such as 300ms or 2s")
        return float(match["number"]) * _UNIT_SECONDS[match["unit"]]

    def flag(self, name: str, default: bool) -> bool:  # noqa: FBT001 - a default, not a switch
        value = self.optional_text(name)
        if value is None:
            return default
        if value.lower() not in _FLAGS:
            raise SettingError(f"{name} is {value!r}; it must be true or false")
        return _FLAGS[value.lower()]
