"""`python -m meshgate.edge compose` prints the configuration that docker-compose.yml mounts.

With `OTEL_EXPORTER_OTLP_ENDPOINT` in the environment Envoy takes part in traces.
"""

import os
import sys
from dataclasses import replace

from meshgate.edge.rendering import COMPOSE, render
from meshgate.runtime.environment import Environment
from meshgate.runtime.tracing_settings import TracingSettings

_USAGE = "usage: python -m meshgate.edge compose > envoy/envoy.yaml"


def main(arguments: list[str]) -> int:
    """Prints the rendering; returns the exit status."""
    if arguments != ["compose"]:
        print(_USAGE, file=sys.stderr)  # noqa: T201
        return 2
    traces = TracingSettings.read(Environment(os.environ))
    sys.stdout.write(render(replace(COMPOSE, traces=traces)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
