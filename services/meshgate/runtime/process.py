"""host(): from a process's environment to services that serve."""

import os
import sys
from collections.abc import Mapping

import uvloop

from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.server import Assemble, serve
from meshgate.runtime.settings import ServerSettings
from meshgate.runtime.telemetry import configure_logs


def host(assemblies: Mapping[str, Assemble], env: Environment | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Exits with status 1 and a sentence on bad settings.

    Args:
        assemblies: How to build each service, those first that others call.
        env: The environment; the process's own by default.
    """
    env = env or Environment(os.environ)
    try:
        settings = ServerSettings.read(env)
        configure_logs("+".join(assemblies), settings.log_level)
        uvloop.run(serve(assemblies, env, settings))
    except (SettingError, OSError) as error:
        sys.exit(f"meshgate: {error}")
