"""Which configuration a process goes by."""

from pathlib import Path

from meshgate.config.discovery import discover
from meshgate.config.source import ConfigSource, FileSource, FixedSource
from meshgate.runtime.environment import Environment


def open_source(env: Environment) -> ConfigSource:
    """The file that MESHGATE_CONFIG names, or what can be made from the environment.

    Raises:
        ConfigurationError: The file cannot be used.
    """
    path = env.optional_text("MESHGATE_CONFIG")
    if path is None:
        return FixedSource(discover(env.variables).snapshot)
    return FileSource(Path(path))
