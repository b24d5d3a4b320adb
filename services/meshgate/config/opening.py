"""Which configuration a process goes by."""

from pathlib import Path

from meshgate.config.discovery import discover
from meshgate.config.problems import ConfigurationError
from meshgate.config.source import ConfigSource, FileSource, FixedSource
from meshgate.runtime.environment import Environment, SettingError


def open_source(env: Environment) -> ConfigSource:
    """The file that MESHGATE_CONFIG names, or what can be made from the environment.

    Raises:
        SettingError: The file cannot be used; has one line for each problem.
    """
    path = env.optional_text("MESHGATE_CONFIG")
    if path is None:
        return FixedSource(discover(env.variables).snapshot)
    try:
        return FileSource(Path(path))
    except ConfigurationError as error:
        raise SettingError(f"the configuration cannot be used:\n{error}") from None
