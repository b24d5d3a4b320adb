"""Which configuration a process goes by."""

from pathlib import Path

import structlog

from meshgate.config.discovery import discover
from meshgate.config.problems import ConfigurationError
from meshgate.config.source import ConfigSource, FileSource, FixedSource
from meshgate.runtime.environment import Environment, SettingError

_log = structlog.get_logger("meshgate.config")


def open_source(env: Environment) -> ConfigSource:
    """The file that MESHGATE_CONFIG names, or what can be made from the environment.

    Raises:
        SettingError: The file cannot be used; has one line for each problem.
    """
    path = env.optional_text("MESHGATE_CONFIG")
    if path is None:
        discovery = discover(env.variables)
        for notice in discovery.notices:
            _log.info(notice)
        return FixedSource(discovery.snapshot)
    try:
        return FileSource(Path(path))
    except ConfigurationError as error:
        raise SettingError(f"the configuration cannot be used:\n{error}") from None
