"""`python -m meshgate.edge compose` prints the configuration that docker-compose.yml mounts."""

import sys

from meshgate.edge.rendering import COMPOSE, render

_USAGE = "usage: python -m meshgate.edge compose > envoy/envoy.yaml"


def main(arguments: list[str]) -> int:
    """Prints the rendering; returns the exit status."""
    if arguments != ["compose"]:
        print(_USAGE, file=sys.stderr)  # noqa: T201
        return 2
    sys.stdout.write(render(COMPOSE))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
