"""From the environment of a process to services that serve."""

import os
import sys
from collections.abc import Mapping

import uvloop

from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.server import Assemble, serve
from meshgate.runtime.settings import ServerSettings
from meshgate.runtime.telemetry import configure_logs


def run(assemblies: Mapping[str, Assemble], env: Environment) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        assemblies: How to build each service, those first that others call.
        env: The settings.

    Raises:
        SettingError: A setting or the configuration is wrong.
        OSError: The address is taken.
    """
    settings = ServerSettings.read(env)
    configure_logs("+".join(assemblies), settings.log_level)
    uvloop.run(serve(assemblies, env, settings))


def host(assemblies: Mapping[str, Assemble]) -> None:
    """Run with the environment of this process; what is wrong with it is one sentence and status 1."""
    try:
        run(assemblies, Environment(os.environ))
    except (SettingError, OSError) as error:
        sys.exit(f"meshgate: {error}")
