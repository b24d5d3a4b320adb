"""Starts the routing service: `python -m meshgate.routing`."""

from meshgate.routing.assembly import assemble
from meshgate.runtime.process import host

host({"routing": assemble})
